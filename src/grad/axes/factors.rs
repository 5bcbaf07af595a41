//! An axis as the product of factors.

/// Where the entries of an axis lie on the picture, in pixels of the model's input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    /// The centre of the first entry's receptive field, from the edge of the picture.
    pub first: f64,
    /// The distance between neighbouring entries.
    pub stride: f64,
}

impl Scale {
    /// The scale of the picture's pixels.
    pub const PIXELS: Self = Self { first: 0.5, stride: 1.0 };

    /// The scale of groups of `count` neighbouring entries; a group lies at the centre of its entries.
    pub fn grouped(self, count: f64) -> Self {
        Self { first: self.first + self.stride * (count - 1.0) / 2.0, stride: self.stride * count }
    }
}

/// What a factor runs over.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Along {
    Batch,
    Rows(Scale),
    Columns(Scale),
    /// Rows and columns of a grid, after `prefix` entries without a position (class tokens), and before the rest of the
    /// axis, which has none either (detection tokens).
    Tokens {
        prefix: usize,
        grid: TokenGrid,
    },
    /// Channels, heads, and anything without a position on the picture.
    Other,
}

/// The number and the scale of rows and columns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TokenGrid {
    pub rows: (usize, Scale),
    pub columns: (usize, Scale),
}

impl TokenGrid {
    /// The number of cells.
    pub fn cells(&self) -> usize {
        self.rows.0 * self.columns.0
    }
}

/// One factor of an axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Factor {
    pub size: usize,
    pub along: Along,
}

impl Factor {
    /// Splits the factor into an outer one of the given size and an inner one. `None` if that is impossible.
    pub fn split(self, outer: usize) -> Option<(Self, Self)> {
        if outer == 0 || !self.size.is_multiple_of(outer) {
            return None;
        }
        let inner = self.size / outer;
        let along = match self.along {
            Along::Rows(scale) => Along::Rows(scale.grouped(inner as f64)),
            Along::Columns(scale) => Along::Columns(scale.grouped(inner as f64)),
            Along::Tokens { .. } => return None,
            along => along,
        };
        Some((Self { size: outer, along }, Self { size: inner, along: self.along }))
    }

    /// The factor of which `self` is the outer and `inner` the inner part. `None` if they are not parts of one.
    fn joined(self, inner: Self) -> Option<Self> {
        let whole = Self { size: self.size * inner.size, along: inner.along };
        let parts = whole.split(self.size)?;
        (parts == (self, inner)).then_some(whole)
    }
}

/// The factors of an axis, from the one that changes slowest to the one that changes fastest.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis(Vec<Factor>);

impl Axis {
    /// An axis of one factor.
    pub fn new(size: usize, along: Along) -> Self {
        Self(vec![Factor { size, along }])
    }

    /// An axis of these factors, the slowest first.
    pub fn from_factors(factors: Vec<Factor>) -> Self {
        Self(factors)
    }

    /// An axis without a position on the picture.
    pub fn other(size: usize) -> Self {
        Self::new(size, Along::Other)
    }

    /// An axis of all cells of a grid, row by row.
    pub fn cells(grid: TokenGrid) -> Self {
        Self(vec![
            Factor { size: grid.rows.0, along: Along::Rows(grid.rows.1) },
            Factor { size: grid.columns.0, along: Along::Columns(grid.columns.1) },
        ])
    }

    /// The length of the axis.
    pub fn size(&self) -> usize {
        self.0.iter().map(|factor| factor.size).product()
    }

    pub fn factors(&self) -> &[Factor] {
        &self.0
    }

    pub fn factors_mut(&mut self) -> &mut [Factor] {
        &mut self.0
    }

    /// Whether all factors are [`Along::Other`].
    pub fn is_other(&self) -> bool {
        self.0.iter().all(|factor| factor.along == Along::Other)
    }

    /// Whether a factor has a position on the picture.
    pub fn has_position(&self) -> bool {
        self.0.iter().any(|factor| !matches!(factor.along, Along::Other | Along::Batch))
    }

    /// What the axis runs over, if it is a single factor.
    pub fn along(&self) -> Option<Along> {
        self.single().map(|factor| factor.along)
    }

    /// The only factor, apart from those of size 1 along [`Along::Other`].
    pub fn single(&self) -> Option<Factor> {
        let mut factors = self.significant();
        let first = factors.next()?;
        factors.next().is_none().then_some(first)
    }

    /// The number of entries before the cells of the picture, and the grid of these cells, if the axis runs over
    /// tokens.
    pub fn grid(&self) -> Option<(usize, TokenGrid)> {
        match self.significant().collect::<Vec<_>>().as_slice() {
            [Factor { along: Along::Tokens { prefix, grid }, .. }] => Some((*prefix, *grid)),
            [Factor { size: h, along: Along::Rows(y) }, Factor { size: w, along: Along::Columns(x) }] => {
                Some((0, TokenGrid { rows: (*h, *y), columns: (*w, *x) }))
            }
            _ => None,
        }
    }

    /// The same axis with neighbouring factors joined where they are parts of one.
    pub fn merged(self) -> Self {
        let mut factors: Vec<Factor> = Vec::with_capacity(self.0.len());
        for inner in self.0 {
            match factors.last_mut() {
                Some(outer) => match outer.joined(inner) {
                    Some(whole) => *outer = whole,
                    None => factors.push(inner),
                },
                None => factors.push(inner),
            }
        }
        Self(factors)
    }

    /// `size` entries of the axis: a range of rows or columns, or the tokens that remain without some of the first
    /// ones. Of any other axis, the positions are unknown.
    pub fn cut(&self, size: usize) -> Self {
        match (self.along(), self.grid()) {
            (Some(along @ (Along::Rows(_) | Along::Columns(_))), _) => Self::new(size, along),
            (_, Some((_, grid))) if size == grid.cells() => Self::cells(grid),
            (_, Some((prefix, grid))) if size > grid.cells() && size < prefix + grid.cells() => {
                Self::new(size, Along::Tokens { prefix: size - grid.cells(), grid })
            }
            (_, Some((prefix, grid))) if size == prefix + grid.cells() => {
                Self::new(size, Along::Tokens { prefix, grid })
            }
            _ => Self::other(size),
        }
    }

    /// The concatenation of axes: pieces of one axis, or tokens between others without a position.
    pub fn concatenated(parts: &[Self]) -> Self {
        let total = parts.iter().map(Self::size).sum();
        let alongs: Option<Vec<Along>> = parts.iter().map(Self::along).collect();
        if let Some([first, rest @ ..]) = alongs.as_deref()
            && rest.iter().all(|along| along == first)
            && matches!(first, Along::Rows(_) | Along::Columns(_))
        {
            return Self::new(total, *first);
        }
        let Some(at) = parts.iter().position(|part| part.grid().is_some()) else { return Self::other(total) };
        let others = || parts.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, part)| part);
        match parts[at].grid() {
            Some((prefix, grid)) if parts.len() > 1 && others().all(Self::is_other) => {
                let prefix = prefix + parts[..at].iter().map(Self::size).sum::<usize>();
                Self::new(total, Along::Tokens { prefix, grid })
            }
            _ => Self::other(total),
        }
    }

    /// Factors that are not trivial.
    fn significant(&self) -> impl Iterator<Item = Factor> {
        self.0.iter().copied().filter(|factor| factor.size > 1 || factor.along != Along::Other)
    }
}
