//! Reading and building the parts of a graph without protobuf's optional fields.

use std::collections::HashSet;

use half::f16;
use prost::bytes::Bytes;

use super::proto::{
    Attribute, AttributeType, Dimension, DimensionValue, Graph, Node, Tensor, TensorShape, TensorType, Type, TypeValue,
    ValueInfo,
};

/// The values of `TensorProto.DataType` that image classifiers use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum DataType {
    Float = 1,
    Uint8 = 2,
    Int8 = 3,
    Uint16 = 4,
    Int16 = 5,
    Int32 = 6,
    Int64 = 7,
    Bool = 9,
    Float16 = 10,
    Double = 11,
    Bfloat16 = 16,
}

impl DataType {
    const ALL: &[Self] = &[
        Self::Float,
        Self::Uint8,
        Self::Int8,
        Self::Uint16,
        Self::Int16,
        Self::Int32,
        Self::Int64,
        Self::Bool,
        Self::Float16,
        Self::Double,
        Self::Bfloat16,
    ];

    /// The type of a number of `TensorProto.DataType`; `None` for any other.
    pub fn from_number(number: i32) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| *kind as i32 == number)
    }

    pub fn is_float(self) -> bool {
        matches!(self, Self::Float | Self::Float16 | Self::Double | Self::Bfloat16)
    }

    /// The smallest and the largest value of an integer type of 8 or 16 bits.
    pub fn integer_range(self) -> Option<(f32, f32)> {
        match self {
            Self::Uint8 => Some((0.0, 255.0)),
            Self::Int8 => Some((-128.0, 127.0)),
            Self::Uint16 => Some((0.0, 65535.0)),
            Self::Int16 => Some((-32768.0, 32767.0)),
            _ => None,
        }
    }
}

impl Node {
    /// A node without attributes; [`Node::with`] adds them.
    pub fn new(op: &str, name: impl Into<String>, inputs: &[&str], outputs: &[&str]) -> Self {
        Self {
            op_type: Some(op.to_owned()),
            name: Some(name.into()),
            input: inputs.iter().map(ToString::to_string).collect(),
            output: outputs.iter().map(ToString::to_string).collect(),
            ..Self::default()
        }
    }

    /// The node with one more attribute.
    #[must_use]
    pub fn with(mut self, attribute: Attribute) -> Self {
        self.attribute.push(attribute);
        self
    }

    /// The name of the operator.
    pub fn op(&self) -> &str {
        self.op_type()
    }

    /// The node's name, or that of its first output if it has none.
    pub fn label(&self) -> &str {
        match self.name() {
            "" => self.output.first().map_or("unnamed", String::as_str),
            name => name,
        }
    }

    /// Whether the node belongs to the operator set `ai.onnx`.
    pub fn is_standard(&self) -> bool {
        matches!(self.domain(), "" | "ai.onnx")
    }

    /// Outer tensors that the node's subgraphs read (those of `If`, `Loop` and `Scan`).
    pub fn captured(&self) -> Vec<&str> {
        let subgraphs = self.attribute.iter().flat_map(|a| a.g.iter().chain(&a.graphs));
        subgraphs.flat_map(Graph::captured).collect()
    }

    /// Removes an attribute and returns it.
    pub fn take_attribute(&mut self, name: &str) -> Option<Attribute> {
        let index = self.attribute.iter().position(|a| a.name() == name)?;
        Some(self.attribute.remove(index))
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

    pub fn from_floats(name: &str, values: &[f32]) -> Self {
        Self { floats: values.to_vec(), ..Self::typed(name, AttributeType::Floats) }
    }

    pub fn from_string(name: &str, value: &str) -> Self {
        Self { s: Some(Bytes::copy_from_slice(value.as_bytes())), ..Self::typed(name, AttributeType::String) }
    }

    pub fn from_tensor(name: &str, value: Tensor) -> Self {
        Self { t: Some(value), ..Self::typed(name, AttributeType::Tensor) }
    }

    pub fn from_graph(name: &str, value: Graph) -> Self {
        Self { g: Some(value), ..Self::typed(name, AttributeType::Graph) }
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

    pub fn from_f64s(name: &str, dims: &[i64], values: &[f64]) -> Self {
        let raw: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        Self::raw(name, dims, DataType::Double, raw)
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

    /// The first value of a float32 or float16 tensor; `None` for another type.
    pub fn first_f32(&self) -> Option<f32> {
        let raw = self.raw_data.as_ref();
        match (DataType::from_number(self.data_type())?, raw) {
            (DataType::Float, Some(raw)) => raw.first_chunk().map(|bytes| f32::from_le_bytes(*bytes)),
            (DataType::Float, None) => self.float_data.first().copied(),
            (DataType::Float16, Some(raw)) => raw.first_chunk().map(|bytes| f16::from_le_bytes(*bytes).to_f32()),
            (DataType::Float16, None) => self.int32_data.first().map(|&bits| f16::from_bits(bits as u16).to_f32()),
            _ => None,
        }
    }

    /// The values of a float32 or float16 tensor, or `None` for another type.
    pub fn to_f32s(&self) -> Option<Vec<f32>> {
        let raw = self.raw_data.as_ref();
        Some(match DataType::from_number(self.data_type())? {
            DataType::Float => match raw {
                Some(raw) => raw.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
                None => self.float_data.clone(),
            },
            DataType::Float16 => match raw {
                Some(raw) => raw.as_chunks().0.iter().map(|bytes| f16::from_le_bytes(*bytes).to_f32()).collect(),
                None => self.int32_data.iter().map(|&bits| f16::from_bits(bits as u16).to_f32()).collect(),
            },
            _ => return None,
        })
    }

    /// Replaces the values of a float32 or float16 tensor; does nothing for another type.
    pub fn set_f32s(&mut self, values: &[f32]) {
        let raw: Vec<u8> = match DataType::from_number(self.data_type()) {
            Some(DataType::Float) => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            Some(DataType::Float16) => values.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect(),
            _ => return,
        };
        self.raw_data = Some(raw.into());
        self.float_data.clear();
        self.int32_data.clear();
    }

    /// The values of an integer or boolean tensor as int64, or `None` for another type.
    pub fn to_i64s(&self) -> Option<Vec<i64>> {
        let raw = self.raw_data.as_ref();
        Some(match DataType::from_number(self.data_type())? {
            DataType::Int64 => match raw {
                Some(raw) => raw.as_chunks().0.iter().map(|bytes| i64::from_le_bytes(*bytes)).collect(),
                None => self.int64_data.clone(),
            },
            DataType::Int32 => match raw {
                Some(raw) => raw.as_chunks().0.iter().map(|bytes| i32::from_le_bytes(*bytes).into()).collect(),
                None => self.int32_data.iter().map(|&v| v.into()).collect(),
            },
            DataType::Bool | DataType::Uint8 => match raw {
                Some(raw) => raw.iter().map(|&byte| byte.into()).collect(),
                None => self.int32_data.iter().map(|&v| v.into()).collect(),
            },
            DataType::Int8 => match raw {
                Some(raw) => raw.iter().map(|&byte| i64::from(byte as i8)).collect(),
                None => self.int32_data.iter().map(|&v| v.into()).collect(),
            },
            _ => return None,
        })
    }
}

impl ValueInfo {
    /// A tensor of the given type. A dimension of -1 is a free batch size called N, one of -2 another free length.
    pub fn tensor(name: &str, kind: DataType, dims: &[i64]) -> Self {
        let value = |d: i64| match d {
            -1 => DimensionValue::Param("N".into()),
            ..0 => DimensionValue::Param(format!("S{}", -d)),
            d => DimensionValue::Value(d),
        };
        let dim = dims.iter().map(|&d| Dimension { value: Some(value(d)), denotation: None }).collect();
        let tensor = TensorType { elem_type: Some(kind as i32), shape: Some(TensorShape { dim }) };
        Self {
            name: Some(name.to_owned()),
            r#type: Some(Type { value: Some(TypeValue::Tensor(tensor)), denotation: None }),
            ..Self::default()
        }
    }

    /// A tensor whose type the runtime infers.
    pub fn untyped(name: &str) -> Self {
        Self { name: Some(name.to_owned()), ..Self::default() }
    }

    /// Its data type; `None` if the file states none or one that this crate lacks.
    pub fn kind(&self) -> Option<DataType> {
        DataType::from_number(self.tensor_type()?.elem_type())
    }

    fn tensor_type(&self) -> Option<&TensorType> {
        match self.r#type.as_ref()?.value.as_ref()? {
            TypeValue::Tensor(tensor) => Some(tensor),
            _ => None,
        }
    }

    /// Its dimensions, `None` for a free one; `None` instead of a list if the file states no shape.
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

    /// Its dimensions as text, `?` for a free one.
    pub fn dims_text(&self) -> String {
        let dims = self.dims().unwrap_or_default();
        dims.iter().map(|d| d.map_or("?".into(), |d| d.to_string())).collect::<Vec<_>>().join(",")
    }

    /// The batch size that the file fixes, else 1.
    pub fn batch(&self) -> usize {
        self.dims().and_then(|dims| dims.first().copied().flatten()).map_or(1, |batch| batch as usize)
    }

    /// Sets the data type.
    pub fn set_kind(&mut self, kind: DataType) {
        if let Some(TypeValue::Tensor(tensor)) = self.r#type.as_mut().and_then(|t| t.value.as_mut()) {
            tensor.elem_type = Some(kind as i32);
        }
    }

    /// The names of its free dimensions, empty for one without a name and `None` for a fixed one; `None` instead of a list if
    /// the file states no shape.
    pub fn dim_names(&self) -> Option<Vec<Option<String>>> {
        let name = |dimension: &Dimension| match &dimension.value {
            Some(DimensionValue::Value(1..)) => None,
            Some(DimensionValue::Param(name)) => Some(name.clone()),
            _ => Some(String::new()),
        };
        Some(self.tensor_type()?.shape.as_ref()?.dim.iter().map(name).collect())
    }

    fn dims_mut(&mut self) -> impl Iterator<Item = &mut Dimension> {
        let value = self.r#type.as_mut().and_then(|t| t.value.as_mut());
        let tensor = value.and_then(|value| if let TypeValue::Tensor(tensor) = value { Some(tensor) } else { None });
        tensor.and_then(|tensor| tensor.shape.as_mut()).into_iter().flat_map(|shape| &mut shape.dim)
    }

    /// Makes dimensions of length 0 free.
    pub fn free_zero_lengths(&mut self) {
        self.dims_mut().filter(|d| d.value == Some(DimensionValue::Value(0))).for_each(|d| d.value = None);
    }

    /// Makes all dimensions free.
    pub fn free_dims(&mut self) {
        self.dims_mut().for_each(|dimension| dimension.value = None);
    }

    /// Fixes one dimension.
    pub fn set_dim(&mut self, axis: usize, length: usize) {
        if let Some(dimension) = self.dims_mut().nth(axis) {
            dimension.value = Some(DimensionValue::Value(length as i64));
        }
    }

    /// Fixes all dimensions.
    pub fn set_dims(&mut self, dims: &[usize]) {
        let Some(TypeValue::Tensor(tensor)) = self.r#type.as_mut().and_then(|t| t.value.as_mut()) else { return };
        let dim = dims.iter().map(|&d| Dimension { value: Some(DimensionValue::Value(d as i64)), denotation: None });
        tensor.shape = Some(TensorShape { dim: dim.collect() });
    }
}

impl Graph {
    /// Tensors that the graph reads and does not produce.
    fn captured(&self) -> Vec<&str> {
        let mut own: HashSet<&str> = self.input.iter().map(ValueInfo::name).collect();
        own.extend(self.initializer.iter().map(Tensor::name));
        own.extend(self.node.iter().flat_map(|n| &n.output).map(String::as_str));
        let used = self.node.iter().flat_map(|n| n.input.iter().map(String::as_str).chain(n.captured()));
        let given = self.output.iter().map(ValueInfo::name);
        used.chain(given).filter(|name| !name.is_empty() && !own.contains(name)).collect()
    }

    /// The inputs without an initial value, which a caller must provide.
    pub fn true_inputs(&self) -> impl Iterator<Item = &ValueInfo> {
        self.input.iter().filter(|input| !self.initializer.iter().any(|i| i.name() == input.name()))
    }
}
