//! `whycam gradient`

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use whycam::grad::{Rules, differentiate};
use whycam::onnx::proto::ValueInfo;
use whycam::onnx::{DataType, OnnxModel};
use whycam::plumbing::{check_free, write_whole};
use whycam::session::probe;

use super::args::GlobalArgs;
use super::output::{ExitStatus, UsageError, check_outputs, say};

/// The input that a gradient starts from.
const SEED: &str = "seed";

#[derive(Args)]
pub struct Gradient {
    /// An ONNX file, of pictures or of anything else
    #[arg(value_name = "MODEL.onnx")]
    model: PathBuf,
    /// The tensor whose gradient is taken, such as an output
    #[arg(long, value_name = "TENSOR")]
    of: String,
    /// The tensors by which it is taken, such as inputs or weights
    #[arg(long, value_name = "TENSOR,…", value_delimiter = ',', required = true)]
    by: Vec<String>,
    #[arg(short, value_name = "OUT.onnx")]
    out: PathBuf,
    /// The shape of an input whose lengths the model leaves free; again for more
    #[arg(long, value_name = "NAME=2,3,…", value_parser = shape)]
    shape: Vec<(String, Vec<usize>)>,
    /// Overwrite the file if it exists
    #[arg(long)]
    force: bool,
}

fn shape(text: &str) -> Result<(String, Vec<usize>), String> {
    let parsed = text.split_once('=').and_then(|(name, lengths)| {
        let lengths = lengths.split([',', 'x']).map(str::parse).collect::<Result<Vec<usize>, _>>().ok()?;
        Some((name.to_owned(), lengths))
    });
    parsed.ok_or_else(|| "give it like NAME=1,3,224,224".into())
}

impl Gradient {
    pub fn run(self, global: &GlobalArgs) -> Result<ExitStatus> {
        global.tell_runtime()?;
        check_outputs(&[Some(&self.out)], &[Path::new(&self.model)])?;
        check_free(&self.out, self.force)?;
        let mut model = OnnxModel::read(&self.model)?;
        if model.has_tensor(SEED) {
            return Err(model
                .error(format!("it has a tensor '{SEED}', which is the name of the new input; rename it"))
                .into());
        }
        let shapes = self.shapes(&model)?;
        let given: Vec<(&str, Vec<usize>)> =
            shapes.iter().map(|(name, shape)| (name.as_str(), shape.clone())).collect();
        let tensors = probe(&mut model, &given)?;
        for tensor in self.by.iter().chain([&self.of]) {
            if !tensors.contains_key(tensor) {
                let problem = format!("it has no tensor '{tensor}'; the inputs and outputs are {}", ends(&model));
                return Err(model.error(problem).into());
            }
        }
        let of_output = &tensors[&self.of].shape;
        let lengths: Vec<i64> = of_output.iter().map(|&length| length as i64).collect();
        for by in &self.by {
            let (patch, gradient) = differentiate(&model, &tensors, &Rules::default(), &self.of, SEED, by)?;
            patch.apply(&mut model);
            model.rename_tensor(&gradient, &format!("{by}.gradient"));
            model.add_output(&format!("{by}.gradient"));
        }
        model.add_input(SEED, DataType::Float, &lengths);
        write_whole(&self.out, model.to_bytes(), self.force)?;
        if !global.quiet {
            let at: Vec<String> = shapes.iter().map(|(name, shape)| format!("{name} {shape:?}")).collect();
            let (out, at) = (self.out.display(), at.join(", "));
            say(format_args!("{out} takes '{SEED}' {of_output:?}, the gradient by {}, and works for {at}", self.of));
        }
        Ok(ExitStatus::Done)
    }

    /// The shape of each input, as the model or --shape says.
    fn shapes(&self, model: &OnnxModel) -> Result<Vec<(String, Vec<usize>)>> {
        let inputs = || model.graph().true_inputs();
        if let Some((name, _)) = self.shape.iter().find(|(name, _)| inputs().all(|input| input.name() != name)) {
            return Err(model
                .error(format!("it has no input '{name}'; the inputs and outputs are {}", ends(model)))
                .into());
        }
        inputs().map(|input| Ok((input.name().to_owned(), self.shape_of(input)?))).collect()
    }

    fn shape_of(&self, input: &ValueInfo) -> Result<Vec<usize>> {
        let name = input.name();
        if let Some((_, shape)) = self.shape.iter().find(|(known, _)| known == name) {
            return Ok(shape.clone());
        }
        let lengths = input.dims().and_then(|lengths| lengths.into_iter().collect::<Option<Vec<i64>>>());
        let lengths =
            lengths.and_then(|lengths| lengths.into_iter().map(|length| usize::try_from(length).ok()).collect());
        lengths.ok_or_else(|| {
            let problem =
                format!("the input {} {} leaves lengths free; --shape {name}=… says them", name, input.dims_text());
            UsageError(problem).into()
        })
    }
}

/// The names of a model's inputs and outputs.
fn ends(model: &OnnxModel) -> String {
    let names = model.graph().input.iter().chain(&model.graph().output).map(ValueInfo::name);
    names.collect::<Vec<_>>().join(", ")
}
