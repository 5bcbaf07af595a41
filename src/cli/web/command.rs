//! Writing the folder of the page.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use serde_json::{Value, json};
use whycam::model::{Contract, prepared};
use whycam::plumbing::{check_free, make_folder, write_whole};

use crate::cli::args::{GlobalArgs, LayerArgs, ModelSettings};
use crate::cli::inspect::about;
use crate::cli::output::{ExitStatus, UsageError, check_outputs, say};

#[derive(Args)]
pub struct Web {
    /// A built-in model or an ONNX file
    #[arg(value_name = "MODEL")]
    model: String,
    /// The folder of the page
    #[arg(short, value_name = "DIR")]
    out: PathBuf,
    /// The folder `dist` of the npm package onnxruntime-web, whose files are copied into the page [default: the page loads
    /// them from cdn.jsdelivr.net]
    #[arg(long, value_name = "DIR")]
    runtime: Option<PathBuf>,
    #[command(flatten)]
    settings: ModelSettings,
    #[command(flatten)]
    layers: LayerArgs,
    /// Overwrite existing files
    #[arg(long)]
    force: bool,
}

macro_rules! assets {
    ($($name:literal),*) => {
        &[$(($name, include_str!(concat!("assets/", $name)))),*]
    };
}

/// The files of the page.
const ASSETS: &[(&str, &str)] = assets!(
    "camera.js",
    "detections.js",
    "explainer.js",
    "geometry.js",
    "index.html",
    "input.js",
    "page.js",
    "panel.js",
    "picture.js",
    "resize.js",
    "results.js",
    "runtime.js",
    "segments.js",
    "style.css",
    "values.js",
    "worker.js"
);
/// The files of onnxruntime-web that the page loads: those for WebGPU, and those for WebAssembly alone.
const RUNTIME: &[&str] = &[
    "ort.webgpu.min.mjs",
    "ort-wasm-simd-threaded.asyncify.mjs",
    "ort-wasm-simd-threaded.asyncify.wasm",
    "ort.wasm.min.mjs",
    "ort-wasm-simd-threaded.mjs",
    "ort-wasm-simd-threaded.wasm",
];
/// The version that the page is tested with.
const RUNTIME_VERSION: &str = "1.30.0";

impl Web {
    pub fn run(self, global: &GlobalArgs) -> Result<ExitStatus> {
        global.tell_runtime()?;
        let at = |name: &str| self.out.join(name);
        for name in ASSETS.iter().map(|(name, _)| *name).chain(["model.onnx", "model.json"]) {
            check_free(&at(name), self.force)?;
        }
        for name in RUNTIME.iter().filter(|_| self.runtime.is_some()) {
            check_free(&at("runtime").join(name), self.force)?;
        }
        check_outputs(&[Some(&at("model.onnx"))], &[Path::new(&self.model)])?;
        let runtime = self.runtime.as_deref().map(runtime_files).transpose()?;
        let augmented = prepared(&self.settings.options(Some(&self.model)), &self.layers.request(), true)?;
        make_folder(&self.out)?;
        write_whole(&at("model.onnx"), augmented.model.to_bytes(), self.force)?;
        let mut description = about(&at("model.onnx"))?;
        if let Value::Object(fields) = &mut description {
            // The name of the model rather than that of the file just written.
            fields.insert("model".into(), json!(augmented.manifest.name));
            fields.insert("web".into(), self.page(augmented.method.name, &augmented.contract));
        }
        write_whole(&at("model.json"), description.to_string(), self.force)?;
        for (name, text) in ASSETS {
            write_whole(&at(name), text, self.force)?;
        }
        if let Some(files) = runtime {
            copy_runtime(&files, &at("runtime"), self.force)?;
        }
        global.tell_guess(augmented.guess);
        if !global.quiet {
            augmented.notices.iter().for_each(say);
            let folder = self.out.display();
            say(format_args!(
                "the page is in {folder}; put the folder on any web server. Browsers give cameras to https:// and localhost only: \
                 python3 -m http.server -d {folder}"
            ));
        }
        Ok(ExitStatus::Done)
    }

    /// What the page needs besides the description of the model.
    fn page(&self, method: &str, contract: &Contract) -> Value {
        let copied = "./runtime/".to_owned();
        let elsewhere = format!("https://cdn.jsdelivr.net/npm/onnxruntime-web@{RUNTIME_VERSION}/dist/");
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "runtime": if self.runtime.is_some() { copied } else { elsewhere },
            "known": contract.known,
            "map": contract.geometry,
            "method": method,
        })
    }
}

/// The files of the runtime that are copied.
fn runtime_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let files: Vec<PathBuf> = RUNTIME.iter().map(|name| folder.join(name)).collect();
    if let Some(missing) = files.iter().find(|file| !file.is_file()) {
        let problem = format!(
            "{} is missing; --runtime takes the folder dist of onnxruntime-web: npm install onnxruntime-web@{RUNTIME_VERSION} \
             puts it into node_modules/onnxruntime-web/dist",
            missing.display()
        );
        return Err(UsageError(problem).into());
    }
    Ok(files)
}

fn copy_runtime(files: &[PathBuf], folder: &Path, overwrite: bool) -> Result<()> {
    make_folder(folder)?;
    for (file, name) in files.iter().zip(RUNTIME) {
        let bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        write_whole(&folder.join(name), bytes, overwrite)?;
    }
    Ok(())
}
