//! Plots of the report, as SVG.

use maud::{Markup, html};
use whycam::evaluate::Bin;

const SIDE: f32 = 220.0;
const MARGIN: f32 = 34.0;

/// A curve with its name and colour, evenly spaced from 0 to 1.
pub struct Curve<'a> {
    pub name: String,
    pub colour: &'static str,
    pub values: &'a [f32],
}

/// Curves of shares over shares.
pub fn curves(title: &str, across: &str, curves: &[Curve]) -> Markup {
    frame(
        title,
        across,
        html! {
            @for (line, curve) in curves.iter().enumerate() {
                @let last = (curve.values.len() - 1).max(1) as f32;
                @let points: Vec<String> = curve.values.iter().enumerate()
                .map(|(at, v)| format!("{:.1},{:.1}", x(at as f32 / last), y(*v))).collect();
            polyline points=(points.join(" ")) fill="none" stroke=(curve.colour) stroke-width="2" {}
                text x=(x(1.0) - 52.0 * line as f32) y=(MARGIN - 12.0) text-anchor="end" fill=(curve.colour) { (curve.name) }
            }
        },
    )
}

/// Accuracy over confidence, a bar a bin.
pub fn reliability(bins: &[Bin]) -> Markup {
    let width = 1.0 / bins.len() as f32;
    let bars = bins.iter().enumerate().filter(|(_, bin)| bin.count > 0);
    frame(
        "Reliability",
        "probability of the predicted class",
        html! {
            @for (at, bin) in bars {
                rect x=(x(at as f32 * width)) y=(y(bin.accuracy)) width=(width * SIDE - 1.0) height=(bin.accuracy * SIDE)
                    fill="#4c78a8" { title { (format!("{} photos: said {:.2}, right {:.2}", bin.count, bin.confidence, bin.accuracy)) } }
            }
            line x1=(x(0.0)) y1=(y(0.0)) x2=(x(1.0)) y2=(y(1.0)) stroke="#888" stroke-dasharray="4 3" {}
        },
    )
}

fn x(share: f32) -> f32 {
    MARGIN + share * SIDE
}

fn y(share: f32) -> f32 {
    MARGIN + (1.0 - share) * SIDE
}

fn frame(title: &str, across: &str, content: Markup) -> Markup {
    let whole = SIDE + 2.0 * MARGIN;
    html! {
        svg viewBox=(format!("0 0 {whole} {whole}")) width=(whole) height=(whole) role="img" aria-label=(title) {
            text x=(MARGIN) y=(MARGIN - 12.0) class="title" { (title) }
            @for tick in [0.0, 0.5, 1.0] {
                line x1=(x(0.0)) y1=(y(tick)) x2=(x(1.0)) y2=(y(tick)) stroke="#ddd" {}
                text x=(x(0.0) - 4.0) y=(y(tick) + 4.0) text-anchor="end" { (tick) }
                text x=(x(tick)) y=(y(0.0) + 14.0) text-anchor="middle" { (tick) }
            }
            text x=(x(0.5)) y=(y(0.0) + 28.0) text-anchor="middle" { (across) }
            (content)
        }
    }
}
