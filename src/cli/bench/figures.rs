//! The measurements, as a table and as JSON.

use serde_json::{Value, json};

pub struct Figures {
    pub model: String,
    pub method: String,
    pub layer: String,
    pub input: String,
    pub frames: u64,
    pub threads: usize,
    /// The plain forward pass, in milliseconds.
    pub forward: f64,
    /// The forward pass with the explanation, in milliseconds, measured in turns with the plain one.
    pub explained: f64,
    /// The forward pass with a map for each of ten boxes of a detector, in milliseconds.
    pub each: Option<f64>,
    /// Frames a second through the whole pipeline.
    pub pipeline: f64,
    /// Frames a second with all threads busy with decoding and plain forward passes alone.
    pub bound: f64,
    /// Frames a second into a film.
    pub encoded: f64,
    /// The stages of the run into a film.
    pub stages: StageTimes,
}

/// The time of each stage on its thread, in milliseconds a frame.
pub struct StageTimes {
    pub decode: f64,
    pub preprocess: f64,
    pub inference: f64,
    pub map: f64,
    pub overlay: f64,
    pub encode: f64,
}

impl Figures {
    pub fn as_json(&self) -> Value {
        json!({
            "model": self.model,
            "method": self.method,
            "layer": self.layer,
            "input": self.input,
            "frames": self.frames,
            "threads": self.threads,
            "forward_ms": self.forward,
            "explained_ms": self.explained,
            "ratio": self.explained / self.forward,
            "ten_boxes_ms": self.each,
            "ten_boxes_ratio": self.each.map(|each| each / self.forward),
            "pipeline_fps": self.pipeline,
            "bound_fps": self.bound,
            "encoded_fps": self.encoded,
            "stages": {
                "decode_ms": self.stages.decode,
                "preprocess_ms": self.stages.preprocess,
                "inference_ms": self.stages.inference,
                "map_ms": self.stages.map,
                "overlay_ms": self.stages.overlay,
                "encode_ms": self.stages.encode,
            },
        })
    }

    pub fn as_table(&self) -> String {
        let Self { model, method, layer, input, frames, threads, .. } = self;
        let StageTimes { decode, preprocess, inference, map, overlay, encode } = &self.stages;
        let ratio = self.explained / self.forward;
        let share = self.pipeline / self.bound;
        let stage = |name: &str, time: &f64| format!("  {name:<18}{time:8.2} ms");
        let each = self
            .each
            .map(|each| format!("a map for ten boxes {each:8.2} ms   {:.3} of the plain one", each / self.forward));
        let lines = [
            format!("{model}, {method} at {layer}, {threads} threads"),
            String::new(),
            format!("plain forward pass  {:8.2} ms", self.forward),
            format!("explained           {:8.2} ms   {ratio:.3} of the plain one", self.explained),
            each.unwrap_or_default(),
            format!("{frames} frames of {input}"),
            format!("explained           {:8.1} a second   {share:.2} of the bound", self.pipeline),
            format!("bound               {:8.1} a second   decoding and plain forward passes alone", self.bound),
            format!("into a film         {:8.1} a second", self.encoded),
            String::new(),
            "of a frame into a film, each on its thread".into(),
            stage("decode", decode),
            stage("preprocess", preprocess),
            stage("inference", inference),
            stage("map", map),
            stage("overlay", overlay),
            stage("encode", encode),
        ];
        lines.join("\n") + "\n"
    }
}
