//! `whycam gradient`

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use whycam::model::{FreeLength, GradientModel, GradientOptions, gradient_model};
use whycam::onnx::OnnxModel;
use whycam::plumbing::{check_free, write_whole};

use super::args::GlobalArgs;
use super::output::{ExitStatus, check_outputs, say};

#[derive(Args)]
pub struct Gradient {
    /// An ONNX file, of pictures or of anything else
    #[arg(value_name = "MODEL.onnx")]
    model: PathBuf,
    /// The tensors whose gradients are taken, such as outputs. Those of several are summed
    #[arg(long, value_name = "TENSOR,…", value_delimiter = ',', required = true)]
    of: Vec<String>,
    /// The tensors by which they are taken, such as inputs or weights
    #[arg(long, value_name = "TENSOR,…", value_delimiter = ',', required = true)]
    by: Vec<String>,
    #[arg(short, value_name = "OUT.onnx")]
    out: PathBuf,
    /// The shape of an input, to try the model with where its lengths are free; again for more
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
        let model = OnnxModel::read(&self.model)?;
        let options = GradientOptions { of: self.of, by: self.by, shapes: self.shape };
        let written = gradient_model(&model, &options)?;
        write_whole(&self.out, written.model.to_bytes(), self.force)?;
        if !global.quiet {
            tell(&self.out, &written, &options.of);
        }
        Ok(ExitStatus::Done)
    }
}

/// Says what the model takes, and for which lengths it works.
fn tell(out: &Path, written: &GradientModel, of: &[String]) {
    let out = out.display();
    let seeds: Vec<String> = written.seeds.iter().map(|(name, shape)| format!("'{name}' {shape:?}")).collect();
    say(format_args!("{out} takes {}, the gradient by {}", seeds.join(" and "), of.join(" and ")));
    let named = |free: bool| -> Vec<&FreeLength> { written.lengths.iter().filter(|l| l.stays_free == free).collect() };
    let (free, fixed) = (named(true), named(false));
    if !free.is_empty() {
        let free: Vec<&str> = free.iter().map(|length| length.name.as_str()).collect();
        say(format_args!("it works for any {}", free.join(", ")));
    }
    if !fixed.is_empty() {
        let fixed: Vec<String> = fixed.iter().map(ToString::to_string).collect();
        say(format_args!("it works for {} only; --shape chooses other lengths", fixed.join(", ")));
    }
}
