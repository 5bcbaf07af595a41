//! The gradients of boxes by the input of a detector's head, from small parts of the map.

use ndarray::{Array2, Array4, ArrayD, ArrayView3, ArrayView4, Axis, Ix4, s};

use super::runner::ModelOutputs;
use crate::error::{Error, Result};
use crate::grad::{ACTIVATIONS, Branch, Detection, Rules, cut_branch, differentiate, names_of_layer, score_maps};
use crate::model::AugmentedModel;
use crate::onnx::proto::{Graph, ValueInfo};
use crate::onnx::{DataType, GraphIndex, OnnxModel, Tensors};
use crate::session::{self, Compute, Input, RunOutputs, Session};

/// The input that holds the gradient of the score map.
const SEED: &str = "whycam.seed";

/// The levels of a detector, each with its head on a window.
pub struct Windows {
    levels: Vec<Level>,
    /// For each entry of the flattened logits, its number in the score maps, one map after the other.
    positions: Vec<u32>,
}

struct Level {
    session: Session,
    /// The layer's tensor, which is the input of the session, and the output with the gradient by it.
    layer: String,
    gradient: String,
    /// The output of the whole model that holds the layer.
    activations: String,
    channels: usize,
    /// The shape of the score map without the batch: `[K,h,w]`.
    map: [usize; 3],
    /// Rows and columns of the window.
    window: [usize; 2],
}

/// An output of a session: its name, type and shape.
type OutputType = (String, DataType, Vec<i64>);

/// The gradients by each layer; `None` for a layer that no box depends on.
pub type LayerGradients = Vec<Option<PartialGradient>>;

/// The gradients of several scores of a level, each by a window of the layer.
struct WindowGradients<'s> {
    run: RunOutputs<'s>,
    /// The output with the gradients, `[n,C,rows,columns]`.
    gradient: &'s str,
    /// The first row and column of each window.
    corners: Vec<[usize; 2]>,
    /// Rows and columns of the whole layer.
    whole: [usize; 2],
}

/// The gradient by a part of a layer. It is zero elsewhere.
pub struct PartialGradient {
    /// `[1,C,rows,columns]`.
    pub values: Array4<f32>,
    /// The first row and column of the part.
    first: [usize; 2],
    /// Rows and columns of the whole layer.
    whole: [usize; 2],
}

impl Windows {
    /// Whether the layers of an augmented detector are the inputs of its heads, one for each level, and the heads look at
    /// windows alone, so that [`Windows::cut`] may succeed.
    pub fn fit(augmented: &AugmentedModel) -> bool {
        let AugmentedModel { model, contract, task, method, .. } = augmented;
        let none = Tensors::new();
        let (maps, layers) = (score_maps(model, &none), contract.layer.split(','));
        let dense = task.as_detection().is_some_and(|detection| !detection.chosen);
        let pairs = || layers.clone().zip(&maps);
        dense
            && method.formula().is_some()
            && layers.clone().count() == maps.len()
            && pairs().all(|(layer, map)| cut_branch(model, layer, map, 1).is_some_and(|branch| !branch.scaled_by_map))
    }

    /// Cuts the heads out of an augmented detector, whose `outputs` have these types and shapes. `None` if a head cannot be
    /// run on a window.
    pub fn cut(augmented: &AugmentedModel, outputs: &[OutputType], compute: Compute) -> Option<Self> {
        let AugmentedModel { model, contract, task, .. } = augmented;
        let none = Tensors::new();
        let maps = score_maps(model, &none);
        let pairs = contract.layer.split(',').zip(&maps).zip(0..);
        let levels = pairs.map(|((layer, map), number)| Level::cut(model, layer, map, number, outputs, compute));
        let levels: Vec<Level> = levels.collect::<Option<_>>()?;
        let positions = positions(model, &maps, &levels, compute)?;
        (positions.len() == task.row_length()).then_some(Self { levels, positions })
    }

    /// For each of several lists of entries, the gradients of the sum of their logits, after a run of the whole model.
    ///
    /// # Errors
    /// The runtime fails.
    pub fn gradients(&mut self, outputs: &ModelOutputs, lists: &[&[i64]]) -> Result<Vec<LayerGradients>> {
        // For each level the numbers of the scores in its map, each once, and which of them each list asks for.
        let mut asked: Vec<(Vec<usize>, Vec<Vec<usize>>)> =
            self.levels.iter().map(|_| (Vec::new(), vec![Vec::new(); lists.len()])).collect();
        for (list, entries) in lists.iter().enumerate() {
            for &entry in *entries {
                let (level, score) = self.place(entry)?;
                let (scores, members) = &mut asked[level];
                let known = scores.iter().position(|known| *known == score);
                members[list].push(known.unwrap_or(scores.len()));
                if known.is_none() {
                    scores.push(score);
                }
            }
        }
        let mut gradients: Vec<LayerGradients> = lists.iter().map(|_| Vec::new()).collect();
        for (level, (scores, members)) in self.levels.iter_mut().zip(asked) {
            let windows = if scores.is_empty() { None } else { Some(level.run(outputs, &scores)?) };
            for (of_list, members) in gradients.iter_mut().zip(members) {
                let windows = windows.as_ref().filter(|_| !members.is_empty());
                of_list.push(windows.map(|windows| windows.sum(&members)).transpose()?);
            }
        }
        Ok(gradients)
    }

    /// The level of an entry of the flattened logits, and its number in the level's score map.
    fn place(&self, entry: i64) -> Result<(usize, usize)> {
        let position = usize::try_from(entry).ok().and_then(|entry| self.positions.get(entry));
        let mut left = position.map_or(usize::MAX, |position| *position as usize);
        for (number, level) in self.levels.iter().enumerate() {
            let size: usize = level.map.iter().product();
            if left < size {
                return Ok((number, left));
            }
            left -= size;
        }
        Err(Error::model(Detection::INDEX, format!("there is no entry {entry}")))
    }
}

impl Level {
    fn cut(
        model: &OnnxModel,
        layer: &str,
        map: &str,
        number: usize,
        outputs: &[OutputType],
        compute: Compute,
    ) -> Option<Self> {
        let activations = if number == 0 { ACTIVATIONS.to_owned() } else { names_of_layer(number)[0].clone() };
        let (.., dims) = outputs.iter().find(|(name, ..)| *name == activations)?;
        let [_, channels, height, width] = *dims.as_slice() else { return None };
        let [channels, height, width] = [channels, height, width].map(|length| usize::try_from(length).unwrap_or(0));
        let Branch { model: mut branch, reach, .. } = cut_branch(model, layer, map, channels)?;
        let window = [height, width].map(|side| side.min(2 * reach + 1));
        let tensors = session::probe(&mut branch, &[(layer, vec![1, channels, window[0], window[1]])]).ok()?;
        let [1, classes, rows, columns] = *tensors.get(map)?.shape.as_slice() else { return None };
        if [rows, columns] != window {
            return None;
        }
        let (patch, gradient) = differentiate(&branch, &tensors, &Rules::default(), map, SEED, layer).ok()?;
        patch.apply(&mut branch);
        branch.add_input(SEED, DataType::Float, &[-1, classes as i64, rows as i64, columns as i64]);
        let graph = branch.graph_mut();
        graph.output = vec![ValueInfo::untyped(&gradient)];
        graph.input[0] = ValueInfo::tensor(layer, DataType::Float, &[-1, channels as i64, rows as i64, columns as i64]);
        // So little is done by one thread sooner than by several.
        let session = Session::new(&branch, Compute { threads: 1, ..compute }).ok()?;
        let (layer, map) = (layer.to_owned(), [classes, height, width]);
        Some(Self { session, layer, gradient, activations, channels, map, window })
    }

    /// The gradients of the scores with these numbers in the map, each on its window.
    fn run(&mut self, outputs: &ModelOutputs, scores: &[usize]) -> Result<WindowGradients<'_>> {
        let [classes, height, width] = self.map;
        let ([rows, columns], count) = (self.window, scores.len());
        let start = |at: usize, window: usize, side: usize| at.saturating_sub(window / 2).min(side - window);
        let corner =
            |score: &usize| [start(score / width % height, rows, height), start(score % width, columns, width)];
        let corners: Vec<[usize; 2]> = scores.iter().map(corner).collect();
        let activations: ArrayView4<f32> = outputs.maps(&self.activations)?;
        let mut windows = Array4::zeros((count, self.channels, rows, columns));
        let mut seeds = Array4::zeros((count, classes, rows, columns));
        for (number, (score, [top, left])) in scores.iter().zip(&corners).enumerate() {
            let part = activations.slice(s![0, .., *top..top + rows, *left..left + columns]);
            windows.index_axis_mut(Axis(0), number).assign(&part);
            let (class, row, column) = (score / (height * width), score / width % height, score % width);
            seeds[[number, class, row - top, column - left]] = 1.0;
        }
        let (windows, seeds) = (windows.into_dyn(), seeds.into_dyn());
        let inputs = vec![(self.layer.as_str(), Input::Float(windows.view())), (SEED, Input::Float(seeds.view()))];
        let run = self.session.run(inputs)?;
        Ok(WindowGradients { run, gradient: &self.gradient, corners, whole: [height, width] })
    }
}

impl WindowGradients<'_> {
    /// The sum of the gradients with these numbers, on the rectangle around their windows.
    fn sum(&self, members: &[usize]) -> Result<PartialGradient> {
        let gradients = self.run.floats(self.gradient)?.into_dimensionality::<Ix4>();
        let gradients = gradients.map_err(|e| Error::model(self.gradient, e))?;
        if let [only] = *members {
            let values = gradients.slice(s![only..=only, .., .., ..]).to_owned();
            return Ok(PartialGradient { values, first: self.corners[only], whole: self.whole });
        }
        let (_, channels, rows, columns) = gradients.dim();
        let corners = || members.iter().map(|&member| self.corners[member]);
        let first = [0, 1].map(|axis| corners().map(|corner| corner[axis]).min().unwrap_or(0));
        let last = [0, 1].map(|axis| corners().map(|corner| corner[axis]).max().unwrap_or(0));
        let shape = (1, channels, last[0] - first[0] + rows, last[1] - first[1] + columns);
        // Written explicitly: memory that is zero because it is new faults on its first read and again on its first write.
        let mut values = Array4::from_shape_simple_fn(shape, || 0.0);
        for (&member, [top, left]) in members.iter().zip(corners()) {
            let (top, left) = (top - first[0], left - first[1]);
            let mut part = values.slice_mut(s![0, .., top..top + rows, left..left + columns]);
            part += &gradients.index_axis(Axis(0), member);
        }
        Ok(PartialGradient { values, first, whole: self.whole })
    }
}

impl PartialGradient {
    /// The gradient by the whole layer, `[1,C,h,w]`.
    pub fn whole(&self) -> Array4<f32> {
        let ([top, left], [height, width]) = (self.first, self.whole);
        let (_, channels, rows, columns) = self.values.dim();
        let mut whole = Array4::zeros((1, channels, height, width));
        whole.slice_mut(s![.., .., top..top + rows, left..left + columns]).assign(&self.values);
        whole
    }

    /// The part of the layer's activations `[C,h,w]` that the gradient covers.
    pub fn part_of<'a>(&self, activations: ArrayView3<'a, f32>) -> ArrayView3<'a, f32> {
        let ([top, left], (_, _, rows, columns)) = (self.first, self.values.dim());
        activations.slice_move(s![.., top..top + rows, left..left + columns])
    }

    /// A map of the part, as a map of the whole layer.
    pub fn enlarged(&self, part: &Array2<f32>) -> Array2<f32> {
        let ([top, left], (rows, columns)) = (self.first, part.dim());
        let mut whole = Array2::zeros(self.whole);
        whole.slice_mut(s![top..top + rows, left..left + columns]).assign(part);
        whole
    }
}

/// The moves from the score maps to the logits, applied to the numbers of the scores: for each entry of the logits the
/// score that it is.
fn positions(model: &OnnxModel, maps: &[&str], levels: &[Level], compute: Compute) -> Option<Vec<u32>> {
    let graph = model.graph();
    let index = GraphIndex::new(graph);
    let of_logits = index.ancestors(Detection::LOGITS);
    let of_maps: std::collections::HashSet<usize> = maps.iter().flat_map(|map| index.ancestors(map)).collect();
    let moves = graph.node.iter().enumerate().filter(|(at, _)| of_logits.contains(at) && !of_maps.contains(at));
    let node = moves.map(|(_, node)| node.clone()).collect();
    let shape = |level: &Level| [&[1], level.map.as_slice()].concat();
    let dims = |level: &Level| shape(level).iter().map(|&length| length as i64).collect::<Vec<_>>();
    let input = maps.iter().zip(levels).map(|(map, level)| ValueInfo::tensor(map, DataType::Float, &dims(level)));
    let moves = Graph {
        name: Some("moves".into()),
        node,
        initializer: graph.initializer.clone(),
        input: input.collect(),
        output: vec![ValueInfo::untyped(Detection::LOGITS)],
        ..Graph::default()
    };
    let mut session = Session::new(&model.with_graph(moves), Compute { threads: 1, ..compute }).ok()?;
    let mut before = 0_u32;
    let numbers: Vec<ArrayD<f32>> = levels
        .iter()
        .map(|level| {
            let first = before;
            before += level.map.iter().product::<usize>() as u32;
            // Exact in float32 up to 2^24.
            let values = (first..before).map(|number| number as f32).collect();
            ArrayD::from_shape_vec(shape(level), values).unwrap_or_default()
        })
        .collect();
    if before > 1 << 24 {
        return None;
    }
    let inputs = maps.iter().zip(&numbers).map(|(map, numbers)| (*map, Input::Float(numbers.view())));
    let run = session.run(inputs.collect()).ok()?;
    let logits = run.floats(Detection::LOGITS).ok()?;
    (logits.shape().first() == Some(&1)).then(|| logits.iter().map(|number| *number as u32).collect())
}
