//! A model file in memory.

use std::collections::HashMap;
use std::path::{Component, Path};

use prost::Message;
use prost::bytes::Bytes;

use super::index::sort_nodes;
use super::proto::{Attribute, Graph, Model, Node, StringStringEntry, Tensor, ValueInfo};
use super::{DataType, inline, upgrade};
use crate::bounds;
use crate::error::{Error, Result};

/// The operator set that nodes made by this crate are written in. Older models are brought up
/// to it on reading; newer ones keep theirs, in which these nodes mean the same.
pub const WORKING_OPSET: i64 = 18;
const OLDEST_OPSET: i64 = 7;
/// The IR version that goes with [`WORKING_OPSET`].
const WORKING_IR: i64 = 8;

/// `TensorProto.DataLocation.EXTERNAL`.
const EXTERNAL: i32 = 1;

/// A whole ONNX model: one graph of the standard operator set, its weights in memory.
#[derive(Clone)]
pub struct OnnxModel {
    /// What messages call the model.
    pub name: String,
    proto: Model,
    /// Whether weights lay in other files beside the model's.
    pub weights_beside: bool,
}

impl OnnxModel {
    /// Reads a model file and the weights that lie beside it.
    ///
    /// # Errors
    /// The file is absent, no ONNX model, of too old an operator set, or points to weights that
    /// are absent, too short or outside its folder.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = bounds::read(path, bounds::MODEL_BYTES).map_err(|e| Error::reading(path, &e))?;
        let name = path.display().to_string();
        Self::parse(&name, bytes.into(), Some(path))
    }

    /// A model from the bytes of its file. `name` is what messages call it.
    ///
    /// # Errors
    /// As [`OnnxModel::read`]; weights in other files are an error here.
    pub fn from_bytes(name: &str, bytes: impl Into<Bytes>) -> Result<Self> {
        Self::parse(name, bytes.into(), None)
    }

    /// A model around a graph of a version of the standard operator set.
    pub fn from_graph(name: &str, opset: i64, graph: Graph) -> Self {
        let import = super::proto::OperatorSetId { domain: None, version: Some(opset) };
        let proto = Model {
            ir_version: Some(WORKING_IR.max(opset - 11)),
            opset_import: vec![import],
            graph: Some(graph),
            ..Model::default()
        };
        Self { name: name.to_owned(), proto, weights_beside: false }
    }

    /// A model of the same operator sets around another graph.
    #[must_use]
    pub fn with_graph(&self, graph: Graph) -> Self {
        let proto = Model { graph: Some(graph), metadata_props: Vec::new(), ..self.proto.clone() };
        Self { name: self.name.clone(), proto, weights_beside: false }
    }

    fn parse(name: &str, bytes: Bytes, path: Option<&Path>) -> Result<Self> {
        let mut proto = Model::decode(bytes)
            .map_err(|e| Error::model(name, format!("not an ONNX model ({e}); export it as ONNX first")))?;
        let Some(graph) = proto.graph.as_mut().filter(|g| !g.node.is_empty()) else {
            return Err(Error::model(name, "not an ONNX model (it has no graph); export it as ONNX first"));
        };
        let mut beside = WeightsBeside { model: path, files: HashMap::new() };
        for tensor in graph.initializer.iter_mut().filter(|tensor| tensor.data_location() == EXTERNAL) {
            beside.load(tensor).map_err(|problem| Error::model(name, problem))?;
        }
        let weights_beside = !beside.files.is_empty();
        // Old files list weights among the inputs, where a runtime must expect other values for them.
        let Graph { input, initializer, .. } = graph;
        input.retain(|input| !initializer.iter().any(|weights| weights.name() == input.name()));
        inline::inline_functions(graph, &std::mem::take(&mut proto.functions)).map_err(|e| Error::model(name, e))?;
        sort_nodes(graph).map_err(|e| Error::model(name, e))?;
        let mut model = Self { name: name.to_owned(), proto, weights_beside };
        let opset = model.opset();
        if opset < OLDEST_OPSET {
            let mend = format!("export it again with opset_version={WORKING_OPSET}");
            return Err(model.error(format!("its operator set is {opset}, before {OLDEST_OPSET}; {mend}")));
        }
        if opset < WORKING_OPSET {
            upgrade::to_working_opset(model.graph_mut(), opset);
            model.set_opset(WORKING_OPSET);
        }
        Ok(model)
    }

    /// The bytes of a model file.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.proto.encode_to_vec()
    }

    pub fn graph(&self) -> &Graph {
        const EMPTY: &Graph = &Graph {
            node: Vec::new(),
            name: None,
            initializer: Vec::new(),
            sparse_initializer: Vec::new(),
            doc_string: None,
            input: Vec::new(),
            output: Vec::new(),
            value_info: Vec::new(),
            quantization_annotation: Vec::new(),
            metadata_props: Vec::new(),
        };
        self.proto.graph.as_ref().unwrap_or(EMPTY)
    }

    pub fn graph_mut(&mut self) -> &mut Graph {
        self.proto.graph.get_or_insert_default()
    }

    /// The version of the standard operator set.
    pub fn opset(&self) -> i64 {
        let standard = |domain: &str| matches!(domain, "" | "ai.onnx");
        self.proto.opset_import.iter().find(|o| standard(o.domain())).map_or(0, super::proto::OperatorSetId::version)
    }

    fn set_opset(&mut self, version: i64) {
        for opset in &mut self.proto.opset_import {
            if matches!(opset.domain(), "" | "ai.onnx") {
                opset.version = Some(version);
            }
        }
        self.proto.ir_version = Some(self.proto.ir_version().max(WORKING_IR));
    }

    /// Puts the nodes of one branch in the place of the `If` node at `place`.
    ///
    /// # Errors
    /// The node lacks the branch.
    pub fn inline_branch(&mut self, place: usize, condition: bool) -> Result<()> {
        inline::inline_branch(self.graph_mut(), place, condition).map_err(|problem| self.error(problem))
    }

    /// Makes the model take float32 for an input of another type, with a cast in front.
    pub fn take_float32(&mut self, input: &str) {
        let graph = self.graph_mut();
        let Some(info) = graph.input.iter_mut().find(|info| info.name() == input) else { return };
        let Some(kind) = info.kind().filter(|kind| *kind != DataType::Float) else { return };
        info.set_kind(DataType::Float);
        let inner = format!("whycam.{input}");
        for node in &mut graph.node {
            node.input.iter_mut().filter(|name| *name == input).for_each(|name| name.clone_from(&inner));
        }
        let cast = Node::new("Cast", inner.as_str(), &[input], &[&inner]);
        graph.node.insert(0, cast.with(Attribute::from_int("to", kind as i64)));
    }

    /// Adds an input; a dimension of -1 is a free batch.
    pub fn add_input(&mut self, name: &str, kind: DataType, dims: &[i64]) {
        self.graph_mut().input.push(ValueInfo::tensor(name, kind, dims));
    }

    /// Makes a tensor an output, which it may be already.
    pub fn add_output(&mut self, name: &str) {
        let outputs = &mut self.graph_mut().output;
        if !outputs.iter().any(|output| output.name() == name) {
            outputs.push(ValueInfo::untyped(name));
        }
    }

    /// Says that the model uses a version of an operator set beside the standard one.
    pub fn import(&mut self, domain: &str, version: i64) {
        let import = super::proto::OperatorSetId { domain: Some(domain.to_owned()), version: Some(version) };
        self.proto.opset_import.push(import);
    }

    /// A value of the model's own metadata.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.proto.metadata_props.iter().find(|p| p.key() == key).map(StringStringEntry::value)
    }

    /// Takes a value out of the model's own metadata.
    pub fn take_metadata(&mut self, key: &str) -> Option<String> {
        let place = self.proto.metadata_props.iter().position(|p| p.key() == key)?;
        self.proto.metadata_props.remove(place).value
    }

    /// Writes a value of the model's own metadata.
    pub fn set_metadata(&mut self, key: &str, value: impl Into<String>) {
        self.proto.metadata_props.retain(|p| p.key() != key);
        self.proto.metadata_props.push(StringStringEntry { key: Some(key.to_owned()), value: Some(value.into()) });
    }

    /// An error that names this model.
    pub fn error(&self, problem: impl ToString) -> Error {
        Error::model(&self.name, problem)
    }
}

/// Files beside a model that hold its weights, each read once.
struct WeightsBeside<'p> {
    model: Option<&'p Path>,
    files: HashMap<String, Bytes>,
}

impl WeightsBeside<'_> {
    /// Brings a tensor's value in from the file that it names
    /// (<https://onnx.ai/onnx/repo-docs/ExternalData.html>).
    fn load(&mut self, tensor: &mut Tensor) -> Result<(), String> {
        let entry = |key: &str| {
            tensor.external_data.iter().find(|e| e.key() == key).map(super::proto::StringStringEntry::value)
        };
        let number = |key: &str| match entry(key) {
            None => Ok(None),
            Some(text) => {
                text.parse::<usize>().map(Some).map_err(|_| format!("the {key} '{text}' of its weights is no number"))
            }
        };
        let location = entry("location").ok_or("it names no file for its weights")?;
        if !self.files.contains_key(location) {
            self.files.insert(location.to_owned(), self.read(location)?);
        }
        let bytes = &self.files[location];
        let start = number("offset")?.unwrap_or(0);
        let length = number("length")?.unwrap_or(bytes.len().saturating_sub(start));
        let end = start.checked_add(length).filter(|end| *end <= bytes.len());
        let end = end.ok_or_else(|| format!("its weights {location} are cut short; fetch the file again"))?;
        tensor.raw_data = Some(bytes.slice(start..end));
        tensor.external_data.clear();
        tensor.data_location = None;
        Ok(())
    }

    fn read(&self, location: &str) -> Result<Bytes, String> {
        let model = self.model.ok_or_else(|| format!("its weights lie in another file ({location}); embed them"))?;
        let outside = || format!("its weights '{location}' lie outside its folder; move them beside it");
        if !Path::new(location).components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir)) {
            return Err(outside());
        }
        let failed = |e: std::io::Error| format!("its weights {location}: {e}");
        let folder_of = |path: &Path| path.parent().map(Path::to_owned).unwrap_or_default();
        let file = folder_of(model).join(location).canonicalize().map_err(failed)?;
        // A download may be a folder of links, to the model and to its weights alike.
        let real = folder_of(&model.canonicalize().map_err(failed)?);
        let named = Path::new(".").join(folder_of(model)).canonicalize().map_err(failed)?;
        if !(file.starts_with(&named) || file.starts_with(real)) {
            return Err(outside());
        }
        Ok(bounds::read(&file, bounds::MODEL_BYTES).map_err(failed)?.into())
    }
}
