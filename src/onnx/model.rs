//! An ONNX model in memory.

use std::collections::HashMap;
use std::path::{Component, Path};

use prost::Message;
use prost::bytes::Bytes;

use super::format::other_format;
use super::index::sort_nodes;
use super::lower::{self, MICROSOFT_NCHWC};
use super::proto::{Attribute, Graph, Model, Node, OperatorSetId, StringStringEntry, Tensor, ValueInfo};
use super::{DataType, inline, upgrade};
use crate::error::{Error, Result};
use crate::files::limits;

/// The operator set of the nodes that this crate adds. Older models are upgraded to it on reading; newer models keep
/// theirs, in which these nodes have the same meaning.
pub const WORKING_OPSET: i64 = 18;
const OLDEST_OPSET: i64 = 1;
/// The IR version of [`WORKING_OPSET`].
const WORKING_IR: i64 = 8;

/// `TensorProto.DataLocation.EXTERNAL`.
const EXTERNAL: i32 = 1;

/// A complete ONNX model: one flat graph in topological order, with its weights.
#[derive(Clone)]
pub struct OnnxModel {
    /// The model's name in messages.
    pub name: String,
    proto: Model,
    /// Whether weights were read from other files.
    pub external_weights: bool,
}

impl OnnxModel {
    /// Reads a model file and its external weights.
    ///
    /// # Errors
    /// The file is absent, is not an ONNX model; or its external weights are absent, too
    /// short or outside its folder.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = limits::read(path, limits::MODEL_BYTES).map_err(|e| Error::reading(path, &e))?;
        let name = path.display().to_string();
        Self::parse(&name, bytes.into(), Some(path))
    }

    /// A model from the bytes of its file. `name` is its name in messages.
    ///
    /// # Errors
    /// As [`OnnxModel::read`]; external weights are an error here.
    pub fn from_bytes(name: &str, bytes: impl Into<Bytes>) -> Result<Self> {
        Self::parse(name, bytes.into(), None)
    }

    /// A model from a graph of version `opset` of the standard operator set.
    pub fn from_graph(name: &str, opset: i64, graph: Graph) -> Self {
        let import = OperatorSetId { domain: None, version: Some(opset) };
        let proto = Model {
            ir_version: Some(WORKING_IR.max(opset - 11)),
            opset_import: vec![import],
            graph: Some(graph),
            ..Model::default()
        };
        Self { name: name.to_owned(), proto, external_weights: false }
    }

    /// A model of another graph with the same operator sets, without metadata.
    #[must_use]
    pub fn with_graph(&self, graph: Graph) -> Self {
        let proto = Model { graph: Some(graph), metadata_props: Vec::new(), ..self.proto.clone() };
        Self { name: self.name.clone(), proto, external_weights: false }
    }

    fn parse(name: &str, bytes: Bytes, path: Option<&Path>) -> Result<Self> {
        if let Some(what) = other_format(&bytes) {
            return Err(Error::model(name, format!("not an ONNX model: {what}")));
        }
        let mut proto = Model::decode(bytes)
            .map_err(|e| Error::model(name, format!("not an ONNX model ({e}); export it as ONNX first")))?;
        let Some(graph) = proto.graph.as_mut().filter(|g| !g.node.is_empty()) else {
            return Err(Error::model(name, "not an ONNX model (it has no graph); export it as ONNX first"));
        };
        let mut external = ExternalWeights { model: path, files: HashMap::new() };
        for tensor in tensors_of(graph).into_iter().filter(|tensor| tensor.data_location() == EXTERNAL) {
            external.load(tensor).map_err(|problem| Error::model(name, problem))?;
        }
        let external_weights = !external.files.is_empty();
        // Old files list weights as inputs too, which stops a runtime from treating them as constants.
        let Graph { input, initializer, .. } = graph;
        input.retain(|input| !initializer.iter().any(|weights| weights.name() == input.name()));
        // Some exporters write a free length as 0.
        input.iter_mut().for_each(ValueInfo::free_zero_lengths);
        inline::inline_functions(graph, &std::mem::take(&mut proto.functions)).map_err(|e| Error::model(name, e))?;
        sort_nodes(graph).map_err(|e| Error::model(name, e))?;
        let mut model = Self { name: name.to_owned(), proto, external_weights };
        let opset = model.opset();
        if opset < OLDEST_OPSET {
            let remedy = format!("export it again with opset_version={WORKING_OPSET}");
            return Err(model.error(format!("its operator set is {opset}, before {OLDEST_OPSET}; {remedy}")));
        }
        if opset < WORKING_OPSET {
            upgrade::to_working_opset(model.graph_mut(), opset);
            model.set_opset(WORKING_OPSET);
        }
        if let Some(node) = model.graph().node.iter().find(|node| node.domain() == MICROSOFT_NCHWC) {
            return Err(model.error(format!(
                "ONNX Runtime optimised it for one kind of processor ({MICROSOFT_NCHWC}, first at {}), which leaves no \
                 rows and columns; give the model that it was made from, or save it at the level 'extended'",
                node.label()
            )));
        }
        lower::to_standard_ops(model.graph_mut());
        Ok(model)
    }

    /// The model as the bytes of a file.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.proto.encode_to_vec()
    }

    /// The graph; empty if the file has none.
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

    /// The graph, for changes.
    pub fn graph_mut(&mut self) -> &mut Graph {
        self.proto.graph.get_or_insert_default()
    }

    /// The version of the standard operator set.
    pub fn opset(&self) -> i64 {
        let standard = |domain: &str| matches!(domain, "" | "ai.onnx");
        self.proto.opset_import.iter().find(|o| standard(o.domain())).map_or(0, OperatorSetId::version)
    }

    fn set_opset(&mut self, version: i64) {
        for opset in &mut self.proto.opset_import {
            if matches!(opset.domain(), "" | "ai.onnx") {
                opset.version = Some(version);
            }
        }
        self.proto.ir_version = Some(self.proto.ir_version().max(WORKING_IR));
    }

    /// Replaces the `If` node at `index` by the nodes of one of its branches.
    ///
    /// # Errors
    /// The node lacks the branch.
    pub fn inline_branch(&mut self, index: usize, condition: bool) -> Result<()> {
        inline::inline_branch(self.graph_mut(), index, condition).map_err(|problem| self.error(problem))
    }

    /// Whether a tensor of this name is an input, an initializer or made by a node.
    pub fn has_tensor(&self, name: &str) -> bool {
        let Graph { input, initializer, node, .. } = self.graph();
        let given = input.iter().map(ValueInfo::name).chain(initializer.iter().map(Tensor::name));
        given.chain(node.iter().flat_map(|node| node.output.iter().map(String::as_str))).any(|known| known == name)
    }

    /// Renames a tensor wherever it is made or read.
    pub fn rename_tensor(&mut self, old: &str, new: &str) {
        inline::rename_tensor(self.graph_mut(), old, new);
    }

    /// Changes an input of another type to float32, followed by a cast to that type.
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

    /// Adds an input whose free lengths, written as -1, have nothing to do with those of other inputs.
    pub fn add_typed_input(&mut self, name: &str, kind: DataType, dims: &[i64]) {
        let dims: Vec<i64> = dims.iter().map(|&length| length.max(0)).collect();
        let mut info = ValueInfo::tensor(name, kind, &dims);
        info.free_zero_lengths();
        self.graph_mut().input.push(info);
    }

    /// Adds an input. A dimension of -1 is a free batch size.
    pub fn add_input(&mut self, name: &str, kind: DataType, dims: &[i64]) {
        self.graph_mut().input.push(ValueInfo::tensor(name, kind, dims));
    }

    /// Makes a tensor an output, unless it is one.
    pub fn add_output(&mut self, name: &str) {
        let outputs = &mut self.graph_mut().output;
        if !outputs.iter().any(|output| output.name() == name) {
            outputs.push(ValueInfo::untyped(name));
        }
    }

    /// Declares that the model uses a version of another operator set than the standard one.
    pub fn import(&mut self, domain: &str, version: i64) {
        let import = OperatorSetId { domain: Some(domain.to_owned()), version: Some(version) };
        self.proto.opset_import.push(import);
    }

    /// A value of the model's metadata.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.proto.metadata_props.iter().find(|p| p.key() == key).map(StringStringEntry::value)
    }

    /// Removes a value from the model's metadata and returns it.
    pub fn take_metadata(&mut self, key: &str) -> Option<String> {
        let index = self.proto.metadata_props.iter().position(|p| p.key() == key)?;
        self.proto.metadata_props.remove(index).value
    }

    /// Sets a value of the model's metadata.
    pub fn set_metadata(&mut self, key: &str, value: impl Into<String>) {
        self.proto.metadata_props.retain(|p| p.key() != key);
        self.proto.metadata_props.push(StringStringEntry { key: Some(key.to_owned()), value: Some(value.into()) });
    }

    /// An error that names this model.
    pub fn error(&self, problem: impl ToString) -> Error {
        Error::model(&self.name, problem)
    }
}

/// The constants of a graph: its initializers, and those in attributes of its nodes.
fn tensors_of(graph: &mut Graph) -> Vec<&mut Tensor> {
    let Graph { initializer, node, .. } = graph;
    let mut found: Vec<&mut Tensor> = initializer.iter_mut().collect();
    for attribute in node.iter_mut().flat_map(|node| &mut node.attribute) {
        let Attribute { t, tensors, g, graphs, .. } = attribute;
        found.extend(t.iter_mut().chain(tensors));
        found.extend(g.iter_mut().chain(graphs).flat_map(tensors_of));
    }
    found
}

/// Files of external weights, each read once.
struct ExternalWeights<'p> {
    model: Option<&'p Path>,
    files: HashMap<String, Bytes>,
}

impl ExternalWeights<'_> {
    /// Loads the values of a tensor from the file that it names
    /// (<https://onnx.ai/onnx/repo-docs/ExternalData.html>).
    fn load(&mut self, tensor: &mut Tensor) -> Result<(), String> {
        let entry = |key: &str| tensor.external_data.iter().find(|e| e.key() == key).map(StringStringEntry::value);
        let number = |key: &str| match entry(key) {
            None => Ok(None),
            Some(text) => text
                .parse::<usize>()
                .map(Some)
                .map_err(|_| format!("the {key} '{text}' of its weights is not a number")),
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
        let model = self.model.ok_or_else(|| format!("its weights are in another file ({location}); embed them"))?;
        let outside = || format!("its weights '{location}' are outside its folder; move them next to it");
        if !Path::new(location).components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir)) {
            return Err(outside());
        }
        let failed = |e: std::io::Error| format!("its weights {location}: {e}");
        let folder_of = |path: &Path| path.parent().map(Path::to_owned).unwrap_or_default();
        let file = folder_of(model).join(location).canonicalize().map_err(failed)?;
        // The folder may hold links to both the model and its weights, as a download cache does.
        let real = folder_of(&model.canonicalize().map_err(failed)?);
        let named = Path::new(".").join(folder_of(model)).canonicalize().map_err(failed)?;
        if !(file.starts_with(&named) || file.starts_with(real)) {
            return Err(outside());
        }
        Ok(limits::read(&file, limits::MODEL_BYTES).map_err(failed)?.into())
    }
}
