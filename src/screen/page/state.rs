//! The state of the program, as the page shows it.

use serde::Serialize;

use crate::cam::METHODS;
use crate::overlay::{Blend, COLORMAPS};
use crate::screen::{ScreenFrame, TaughtClass};

/// The state, as JSON. The page knows the names of its fields.
#[expect(clippy::struct_excessive_bools, reason = "each is a separate switch of the page")]
#[derive(Serialize)]
pub struct State<'a> {
    source: String,
    model: &'a str,
    task: &'a str,
    method: &'a str,
    layer: &'a str,
    methods: Vec<&'a str>,
    layers: &'a [String],
    classes: &'a [String],
    class: Option<usize>,
    /// The number of the object that is explained alone.
    object: Option<usize>,
    colormap: &'a str,
    colormaps: Vec<&'a str>,
    blend: &'a str,
    blends: Vec<&'a str>,
    opacity: f32,
    paused: bool,
    recording: bool,
    fluid: bool,
    side_by_side: bool,
    kiosk: bool,
    pace: PaceState,
    teaching: Option<TeachingState<'a>>,
    /// Why no frames arrive; filled in when none do.
    waiting: Option<&'a str>,
}

#[derive(Serialize)]
struct PaceState {
    age_ms: u128,
    captured: f32,
    explained: f32,
    dropped: u64,
}

#[derive(Serialize)]
struct TeachingState<'a> {
    classes: Vec<TaughtState<'a>>,
    held: Option<usize>,
    evidence: bool,
}

#[derive(Serialize)]
struct TaughtState<'a> {
    name: &'a str,
    pictures: usize,
    in_middle: Option<f32>,
    by_background: Option<bool>,
}

/// What the page itself knows.
#[derive(Clone, Debug, Default)]
pub struct Known {
    pub layers: Vec<String>,
    pub kiosk: bool,
}

/// The state at one moment.
pub fn state<'a>(view: &'a ScreenFrame, known: &'a Known) -> State<'a> {
    let (context, style, pace) = (view.context, view.style, view.pace);
    State {
        source: view.frame.medium.short_name(),
        model: &context.model,
        task: context.task,
        method: &context.method,
        layer: &context.layer,
        methods: METHODS.iter().map(|method| method.name).collect(),
        layers: &known.layers,
        classes: &context.labels,
        class: view.class,
        object: view.explanation.detections().and_then(|found| found.detections.get(found.chosen?)?.number),
        colormap: style.colormap.name(),
        colormaps: COLORMAPS.iter().map(|(name, _)| *name).collect(),
        blend: style.blend.name(),
        blends: Blend::ALL.iter().map(|(name, _)| *name).collect(),
        opacity: style.alpha,
        paused: view.switches.paused,
        recording: view.switches.recording,
        fluid: view.switches.fluid,
        side_by_side: view.switches.side_by_side,
        kiosk: known.kiosk,
        pace: PaceState {
            age_ms: pace.age.as_millis(),
            captured: pace.captured,
            explained: pace.explained,
            dropped: pace.dropped,
        },
        teaching: view.teaching.map(|teaching| TeachingState {
            classes: teaching.classes.iter().map(taught).collect(),
            held: teaching.held,
            evidence: teaching.evidence,
        }),
        waiting: None,
    }
}

fn taught(class: &TaughtClass) -> TaughtState<'_> {
    let TaughtClass { name, pictures, in_middle, by_background, .. } = class;
    TaughtState { name, pictures: *pictures, in_middle: *in_middle, by_background: *by_background }
}
