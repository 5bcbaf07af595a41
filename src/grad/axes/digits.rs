//! Axes as digits, and what ops that move numbers about do to them.

use crate::onnx::proto::Node;

/// Where the entries of an axis lie on the picture, in pixels of the input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    /// The middle of the first entry's receptive field, counted from the picture's edge.
    pub first: f64,
    /// From one entry to the next.
    pub stride: f64,
}

impl Scale {
    /// Of the picture's own pixels.
    pub const PIXELS: Self = Self { first: 0.5, stride: 1.0 };

    /// Every so many entries taken together, their middles the middle of the group.
    pub fn grouped(self, count: f64) -> Self {
        Self { first: self.first + self.stride * (count - 1.0) / 2.0, stride: self.stride * count }
    }
}

/// What a digit counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Along {
    Batch,
    Rows(Scale),
    Columns(Scale),
    /// Rows and columns of a grid, behind `prefix` entries that stand for no place (class tokens).
    Tokens {
        prefix: usize,
        grid: Grid,
    },
    /// Channels, heads, and whatever lost its place.
    Other,
}

/// Size and scale of rows, and of columns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Grid {
    pub rows: (usize, Scale),
    pub columns: (usize, Scale),
}

impl Grid {
    pub fn places(&self) -> usize {
        self.rows.0 * self.columns.0
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Digit {
    pub size: usize,
    pub along: Along,
}

/// The digits of an axis, the one that changes slowest first.
pub type Axis = Vec<Digit>;

pub fn other(size: usize) -> Axis {
    vec![Digit { size, along: Along::Other }]
}

pub fn single(axis: &Axis) -> Option<Digit> {
    let mut digits = axis.iter().filter(|d| d.size > 1 || d.along != Along::Other);
    let first = *digits.next()?;
    digits.next().is_none().then_some(first)
}

pub fn size(axis: &Axis) -> usize {
    axis.iter().map(|d| d.size).product()
}

/// Rows and columns of an axis of tokens, and how many entries stand before them.
pub fn grid(axis: &Axis) -> Option<(usize, Grid)> {
    let digits: Vec<Digit> = axis.iter().copied().filter(|d| d.along != Along::Other || d.size > 1).collect();
    match digits.as_slice() {
        [Digit { along: Along::Tokens { prefix, grid }, .. }] => Some((*prefix, *grid)),
        [Digit { size: h, along: Along::Rows(y) }, Digit { size: w, along: Along::Columns(x) }] => {
            Some((0, Grid { rows: (*h, *y), columns: (*w, *x) }))
        }
        _ => None,
    }
}

pub fn normal(axis: i64, rank: usize) -> Option<usize> {
    usize::try_from(if axis < 0 { axis + rank as i64 } else { axis }).ok().filter(|a| *a < rank)
}

/// Each axis at its new length: rows and columns lie further apart, or nearer. `scale` says where, for an axis.
pub fn rescaled(
    first: &[Axis],
    node: &Node,
    x: &[usize],
    y: &[usize],
    scale: impl Fn(usize, Scale) -> Scale,
) -> Option<Vec<Axis>> {
    let axis = |(at, axis): (usize, &Axis)| match single(axis).map(|d| d.along) {
        Some(Along::Rows(old)) => vec![Digit { size: y[at], along: Along::Rows(scale(at, old)) }],
        Some(Along::Columns(old)) => vec![Digit { size: y[at], along: Along::Columns(scale(at, old)) }],
        _ if x[at] == y[at] && !(at == 1 && node.op().starts_with("Conv")) => axis.clone(),
        _ => other(y[at]),
    };
    (first.len() == x.len() && x.len() == y.len()).then(|| first.iter().enumerate().map(axis).collect())
}

pub fn transposed(first: &[Axis], node: &Node) -> Option<Vec<Axis>> {
    match node.ints("perm") {
        Some(order) => order.iter().map(|&a| first.get(usize::try_from(a).ok()?).cloned()).collect(),
        None => Some(first.iter().rev().cloned().collect()),
    }
}

/// The same digits in the axes of another shape.
pub fn regrouped(first: &[Axis], y: &[usize]) -> Option<Vec<Axis>> {
    let mut left: Vec<Digit> = first.iter().flatten().rev().copied().collect();
    let mut axes = Vec::with_capacity(y.len());
    for &length in y {
        let mut axis = Axis::new();
        let mut have = 1;
        while have < length {
            let digit = left.pop()?;
            let need = length / have;
            if need.is_multiple_of(digit.size) {
                have *= digit.size;
                axis.push(digit);
            } else {
                let (outer, inner) = split(digit, need)?;
                have *= outer.size;
                axis.push(outer);
                left.push(inner);
            }
        }
        if length == 1
            && let Some(digit) = left.pop_if(|d| d.size == 1)
        {
            axis.push(digit);
        }
        axes.push(merged(axis));
    }
    left.iter().all(|d| d.size == 1).then_some(axes)
}

/// A digit as two, the outer one of the given size.
pub fn split(digit: Digit, outer: usize) -> Option<(Digit, Digit)> {
    if outer == 0 || !digit.size.is_multiple_of(outer) {
        return None;
    }
    let inner = digit.size / outer;
    let wide = match digit.along {
        Along::Rows(scale) => Along::Rows(scale.grouped(inner as f64)),
        Along::Columns(scale) => Along::Columns(scale.grouped(inner as f64)),
        Along::Tokens { .. } => return None,
        along => along,
    };
    Some((Digit { size: outer, along: wide }, Digit { size: inner, along: digit.along }))
}

/// Neighbouring digits that are one number, as one digit.
pub fn merged(axis: Axis) -> Axis {
    let mut digits = Axis::new();
    for inner in axis {
        let whole = digits.last().and_then(|outer: &Digit| {
            let whole = Digit { size: outer.size * inner.size, along: inner.along };
            let parts = split(whole, outer.size)?;
            (parts == (*outer, inner)).then_some(whole)
        });
        match whole {
            Some(whole) => {
                digits.pop();
                digits.push(whole);
            }
            None => digits.push(inner),
        }
    }
    digits
}

/// A part of each axis. Of tokens, what is left when those in front are taken off; else nothing is known.
pub fn cut(first: &[Axis], x: &[usize], y: &[usize]) -> Vec<Axis> {
    let axis = |(axis, (&x, &y)): (&Axis, (&usize, &usize))| {
        if x == y {
            return axis.clone();
        }
        let placed = single(axis).map(|d| d.along);
        match (placed, grid(axis)) {
            (Some(along @ (Along::Rows(_) | Along::Columns(_))), _) => vec![Digit { size: y, along }],
            (_, Some((_, grid))) if y == grid.places() => {
                vec![
                    Digit { size: grid.rows.0, along: Along::Rows(grid.rows.1) },
                    Digit { size: grid.columns.0, along: Along::Columns(grid.columns.1) },
                ]
            }
            (_, Some((prefix, grid))) if y > grid.places() && y < prefix + grid.places() => {
                vec![Digit { size: y, along: Along::Tokens { prefix: y - grid.places(), grid } }]
            }
            _ => other(y),
        }
    };
    first.iter().zip(x.iter().zip(y)).map(axis).collect()
}

pub fn gathered(first: &[Axis], node: &Node, index_rank: usize) -> Option<Vec<Axis>> {
    let at = normal(node.int("axis").unwrap_or(0), first.len())?;
    // More than a single place may be a new order of all: the lengths will say.
    let kept = match index_rank {
        0 => vec![],
        1 => vec![first[at].clone()],
        _ => return None,
    };
    Some([&first[..at], &kept, &first[at + 1..]].concat())
}

/// Parts put one behind the other: pieces of one axis, or tokens behind others that have no place.
pub fn join(parts: &[Axis]) -> Axis {
    let total = parts.iter().map(size).sum();
    let digits: Option<Vec<Digit>> = parts.iter().map(single).collect();
    if let Some(along) =
        digits.and_then(|d| d.iter().all(|e| e.along == d[0].along).then(|| d.first().map(|d| d.along))?)
        && matches!(along, Along::Rows(_) | Along::Columns(_))
    {
        return vec![Digit { size: total, along }];
    }
    let (Some(last), before) = (parts.last(), &parts[..parts.len().saturating_sub(1)]) else { return other(total) };
    let placeless = before.iter().flatten().all(|d| d.along == Along::Other);
    match grid(last) {
        Some((prefix, grid)) if placeless && !before.is_empty() => {
            let prefix = prefix + before.iter().map(size).sum::<usize>();
            vec![Digit { size: total, along: Along::Tokens { prefix, grid } }]
        }
        _ => other(total),
    }
}
