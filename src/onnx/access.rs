//! Reading and making the parts of a graph without minding protobuf's optional fields.

use prost::bytes::Bytes;

use super::proto::{
    Attribute, AttributeType, Dimension, DimensionValue, Graph, Node, Tensor, TensorShape, TensorType, Type, TypeValue,
    ValueInfo,
};

/// `TensorProto.DataType`, as far as this crate makes or reads tensors itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum DataType {
    Float = 1,
    Int64 = 7,
    Bool = 9,
}

impl Node {
    /// A node with its outputs, to be given its attributes by [`Node::with`].
    pub fn new(op: &str, name: impl Into<String>, inputs: &[&str], outputs: &[&str]) -> Self {
        Self {
            op_type: Some(op.to_owned()),
            name: Some(name.into()),
            input: inputs.iter().map(ToString::to_string).collect(),
            output: outputs.iter().map(ToString::to_string).collect(),
            ..Self::default()
        }
    }

    #[must_use]
    pub fn with(mut self, attribute: Attribute) -> Self {
        self.attribute.push(attribute);
        self
    }

    pub fn op(&self) -> &str {
        self.op_type()
    }

    /// The node's name, or its first output's where the exporter gave it none.
    pub fn label(&self) -> &str {
        match self.name() {
            "" => self.output.first().map_or("unnamed", String::as_str),
            name => name,
        }
    }

    /// Whether the node is of the operator set `ai.onnx`.
    pub fn is_standard(&self) -> bool {
        matches!(self.domain(), "" | "ai.onnx")
    }

    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attribute.iter().find(|a| a.name() == name)
    }

    pub fn int(&self, name: &str) -> Option<i64> {
        self.attribute(name).map(Attribute::i)
    }

    pub fn float(&self, name: &str) -> Option<f32> {
        self.attribute(name).map(Attribute::f)
    }

    pub fn ints(&self, name: &str) -> Option<&[i64]> {
        self.attribute(name).map(|a| a.ints.as_slice())
    }

    pub fn string(&self, name: &str) -> Option<&str> {
        self.attribute(name).and_then(|a| std::str::from_utf8(a.s.as_deref()?).ok())
    }
}

impl Attribute {
    pub fn from_int(name: &str, value: i64) -> Self {
        Self { i: Some(value), ..Self::typed(name, AttributeType::Int) }
    }

    pub fn from_float(name: &str, value: f32) -> Self {
        Self { f: Some(value), ..Self::typed(name, AttributeType::Float) }
    }

    pub fn from_ints(name: &str, values: &[i64]) -> Self {
        Self { ints: values.to_vec(), ..Self::typed(name, AttributeType::Ints) }
    }

    pub fn from_string(name: &str, value: &str) -> Self {
        Self { s: Some(Bytes::copy_from_slice(value.as_bytes())), ..Self::typed(name, AttributeType::String) }
    }

    pub fn from_tensor(name: &str, value: Tensor) -> Self {
        Self { t: Some(value), ..Self::typed(name, AttributeType::Tensor) }
    }

    fn typed(name: &str, kind: AttributeType) -> Self {
        Self { name: Some(name.to_owned()), r#type: Some(kind as i32), ..Self::default() }
    }
}

impl Tensor {
    pub fn from_f32s(name: &str, dims: &[i64], values: &[f32]) -> Self {
        let raw: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        Self::raw(name, dims, DataType::Float, raw)
    }

    pub fn from_i64s(name: &str, dims: &[i64], values: &[i64]) -> Self {
        let raw: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        Self::raw(name, dims, DataType::Int64, raw)
    }

    fn raw(name: &str, dims: &[i64], kind: DataType, raw: Vec<u8>) -> Self {
        Self {
            name: Some(name.to_owned()),
            dims: dims.to_vec(),
            data_type: Some(kind as i32),
            raw_data: Some(raw.into()),
            ..Self::default()
        }
    }

    /// The values of an int64 tensor, or `None` for another type.
    pub fn to_i64s(&self) -> Option<Vec<i64>> {
        if self.data_type() != DataType::Int64 as i32 {
            return None;
        }
        Some(match &self.raw_data {
            Some(raw) => raw.as_chunks().0.iter().map(|bytes| i64::from_le_bytes(*bytes)).collect(),
            None => self.int64_data.clone(),
        })
    }
}

impl ValueInfo {
    /// A tensor of the given type; a dimension of -1 is a free batch, called N.
    pub fn tensor(name: &str, kind: DataType, dims: &[i64]) -> Self {
        let value = |d: i64| if d < 0 { DimensionValue::Param("N".into()) } else { DimensionValue::Value(d) };
        let dim = dims.iter().map(|&d| Dimension { value: Some(value(d)), denotation: None }).collect();
        let tensor = TensorType { elem_type: Some(kind as i32), shape: Some(TensorShape { dim }) };
        Self {
            name: Some(name.to_owned()),
            r#type: Some(Type { value: Some(TypeValue::Tensor(tensor)), denotation: None }),
            ..Self::default()
        }
    }

    /// A tensor whose type the runtime is to find out.
    pub fn untyped(name: &str) -> Self {
        Self { name: Some(name.to_owned()), ..Self::default() }
    }

    fn tensor_type(&self) -> Option<&TensorType> {
        match self.r#type.as_ref()?.value.as_ref()? {
            TypeValue::Tensor(tensor) => Some(tensor),
            _ => None,
        }
    }

    /// Its dimensions, `None` for one that is free; `None` as a whole where the file states none.
    pub fn dims(&self) -> Option<Vec<Option<i64>>> {
        let shape = self.tensor_type()?.shape.as_ref()?;
        Some(
            shape
                .dim
                .iter()
                .map(|d| match d.value {
                    Some(DimensionValue::Value(v)) if v > 0 => Some(v),
                    _ => None,
                })
                .collect(),
        )
    }

    /// Fixes the dimensions, which the file may leave free.
    pub fn set_dims(&mut self, dims: &[usize]) {
        let Some(TypeValue::Tensor(tensor)) = self.r#type.as_mut().and_then(|t| t.value.as_mut()) else { return };
        let dim = dims.iter().map(|&d| Dimension { value: Some(DimensionValue::Value(d as i64)), denotation: None });
        tensor.shape = Some(TensorShape { dim: dim.collect() });
    }
}

impl Graph {
    /// The inputs that a caller must give: those without an initial value.
    pub fn true_inputs(&self) -> impl Iterator<Item = &ValueInfo> {
        self.input.iter().filter(|input| !self.initializer.iter().any(|i| i.name() == input.name()))
    }
}
