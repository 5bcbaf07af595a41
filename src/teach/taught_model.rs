//! Writing what was learned into the graph of the backbone.

use super::backbone::Backbone;
use super::lesson::Lesson;
use crate::error::{Error, Result};
use crate::grad::GraphWriter;
use crate::model::{LoadedModel, Manifest, TypedModel};
use crate::onnx::proto::ValueInfo;
use crate::onnx::{DataType, OnnxModel, TensorInfo, Tensors, keep_outputs};

/// The output `[N,K]` with a logit for each class.
pub const LOGITS: &str = "logits";
/// The output `[N]` with the familiarity of the picture.
pub const KNOWN: &str = "known";

impl Lesson {
    /// The backbone up to its features, followed by the taught layer, as an ordinary model.
    ///
    /// # Errors
    /// The shape of the features is unknown.
    pub fn model(&self, backbone: &Backbone) -> Result<OnnxModel> {
        Ok(self.write(backbone)?.0)
    }

    /// As [`Lesson::model`], with the shape and type of every tensor that leads to the logits. The manifest is that of
    /// [`Lesson::manifest`].
    ///
    /// # Errors
    /// As [`Lesson::model`]; or the manifest is damaged.
    pub fn typed(&self, backbone: &Backbone, manifest: &str) -> Result<TypedModel> {
        let (model, new) = self.write(backbone)?;
        let manifest = Manifest::parse(manifest).map_err(|problem| Error::model("taught", problem))?;
        let TypedModel { loaded, input, tensors } = backbone.typed.clone();
        let loaded = LoadedModel { model, manifest, guess: None, notices: Vec::new(), ..loaded };
        Ok(TypedModel { loaded, input, tensors: tensors.into_iter().chain(new).collect() })
    }

    /// Writes the model, and describes its new tensors.
    fn write(&self, backbone: &Backbone) -> Result<(OnnxModel, Tensors)> {
        let mut whole = backbone.typed.loaded.model.clone();
        whole.graph_mut().output = vec![ValueInfo::untyped(&backbone.features)];
        let mut model = keep_outputs(&whole, |_| true);
        for name in [LOGITS, KNOWN] {
            if model.has_tensor(name) && name != backbone.features {
                model.rename_tensor(name, &format!("backbone.{name}"));
            }
        }
        let writer = GraphWriter::new(&model, &backbone.typed.tensors);
        let (length, classes) = (backbone.length as i64, self.names.len() as i64);
        let batch = writer.shape(&backbone.features)?.first().copied().unwrap_or(1);
        let features = writer.tensor(backbone.features.as_str()).reshape(&[-1, length]);
        let weights: Vec<f32> = self.linear.weights.iter().copied().collect();
        let weights = writer.floats(&[length, classes], &weights);
        let bias = writer.floats(&[classes], &self.linear.bias.to_vec());
        writer.emit_as(LOGITS, "Gemm", &[features, weights, bias], &[]);
        let tensor =
            |shape: &[usize]| TensorInfo { shape: shape.to_vec(), kind: Some(DataType::Float), integers: None };
        let (length_each, classes_each) = (backbone.length, self.names.len());
        let new = Tensors::from([
            (LOGITS.to_owned(), tensor(&[batch, classes_each])),
            (KNOWN.to_owned(), tensor(&[batch])),
            (features.name(), tensor(&[batch, length_each])),
            (weights.name(), tensor(&[length_each, classes_each])),
            (bias.name(), tensor(&[classes_each])),
        ]);
        let mut outputs = vec![ValueInfo::tensor(LOGITS, DataType::Float, &[-1, classes])];
        if let Some(familiarity) = &self.familiarity {
            let (count, nth) = (familiarity.bank.nrows() as i64, familiarity.neighbour as i64);
            let bank: Vec<f32> = familiarity.bank.t().iter().copied().collect();
            // Keeps a vector of zeros from becoming not a number.
            let size = ((features * features).sum_over(&[1]) + f32::MIN_POSITIVE).sqrt();
            let likeness = (features / size).matmul(writer.floats(&[length, count], &bank));
            let (nearest, _) = writer.top_k(likeness, writer.int64s(&[nth]));
            let known = nearest.slice(nth - 1, nth, 1);
            writer.emit_as(KNOWN, "Reshape", &[known, writer.int64s(&[-1])], &[]);
            outputs.push(ValueInfo::tensor(KNOWN, DataType::Float, &[-1]));
        }
        writer.into_patch(&[LOGITS, KNOWN]).apply(&mut model);
        model.graph_mut().output = outputs;
        Ok((model, new))
    }
}
