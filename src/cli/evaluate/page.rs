//! The evaluation as one HTML file: tables, plots, best and worst cases with their pictures.

use std::io::Cursor;

use anyhow::{Context, Result};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use image::{DynamicImage, ImageFormat};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use whycam::evaluate::{Case, Evaluation, Measured, Plan};
use whycam::overlay::Overlay;
use whycam::plumbing::Frame;
use whycam::{Explainer, cam};

use super::plots::{Curve, curves, reliability};
use super::table::COLUMNS;
use crate::cli::style_args::StyleArgs;

const SHOWN_CASES: usize = 6;

const LOOK: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:70em;margin:2em auto;padding:0 1em;color:#222}\
    table{border-collapse:collapse;margin:1em 0}td,th{padding:.25em .7em;text-align:right;border-bottom:1px solid #ddd}\
    td:first-child,th:first-child{text-align:left}.best{font-weight:700}svg{margin-right:1em}\
    svg text{font:11px system-ui,sans-serif}svg .title{font-weight:700;font-size:13px}\
    figure{display:inline-block;margin:.4em;width:13em;vertical-align:top}figure img{width:100%}\
    figcaption{font-size:12px}.wrong{color:#b00020}";

pub fn page(evaluation: &Evaluation, plan: &Plan, style: &StyleArgs) -> Result<String> {
    let Evaluation { model, photos, confusion, calibration_error, methods, .. } = evaluation;
    let mut sections = Vec::new();
    for measured in methods {
        sections.push(section(evaluation, measured, plan, style)?);
    }
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width";
                title { "whycam: " (model) }
                style { (PreEscaped(LOOK)) }
            }
            body {
                h1 { (model) }
                p {
                    (photos) " photos: accuracy " b { (format!("{:.3}", confusion.accuracy())) }
                    ", expected calibration error " b { (format!("{calibration_error:.3}")) }
                }
                (reliability(&evaluation.reliability))
                h2 { "Which classes are taken for which" }
                (confusion_table(evaluation))
                h2 { "How true the maps are" }
                (measures(methods))
                @for section in &sections { (section) }
            }
        }
    };
    Ok(page.into_string())
}

fn confusion_table(evaluation: &Evaluation) -> Markup {
    let Evaluation { labels, confusion, .. } = evaluation;
    let seen = confusion.seen();
    let share = |value: Option<f32>| value.map_or("-".into(), |v| format!("{v:.3}"));
    html! {
        table {
            tr { th { "true \\ predicted" } @for &class in &seen { th { (labels[class]) } } th { "recall" } }
            @for &truth in &seen {
                @let all: usize = confusion.counts[truth].iter().sum();
                tr {
                    td { (labels[truth]) }
                    @for &class in &seen {
                        @let count = confusion.counts[truth][class];
                        td style=(format!("background:rgba(76,120,168,{:.2})", 0.7 * count as f32 / all.max(1) as f32)) { (count) }
                    }
                    td { (share(confusion.recall(truth))) }
                }
            }
            tr { td { "precision" } @for &class in &seen { td { (share(confusion.precision(class))) } } td {} }
        }
    }
}

fn measures(methods: &[Measured]) -> Markup {
    let best = |more: bool, value: fn(&Measured) -> Option<f32>| {
        let values = methods.iter().filter_map(value);
        if more { values.fold(f32::NEG_INFINITY, f32::max) } else { values.fold(f32::INFINITY, f32::min) }
    };
    html! {
        table {
            tr {
                th { "method" }
                @for (name, more, _) in COLUMNS { th { (name) (if *more { " ↑" } else { " ↓" }) } }
            }
            @for measured in methods {
                tr {
                    td { (measured.method) }
                    @for (_, more, value) in COLUMNS {
                        @match value(measured) {
                            Some(v) if v.total_cmp(&best(*more, *value)).is_eq() => td class="best" { (format!("{v:.3}")) },
                            Some(v) => td { (format!("{v:.3}")) },
                            None => td { "-" },
                        }
                    }
                }
            }
        }
    }
}

fn section(evaluation: &Evaluation, measured: &Measured, plan: &Plan, style: &StyleArgs) -> Result<Markup> {
    let Measured { method, layer, photos, curves: means, cases, sanity, films, .. } = measured;
    let mut request = plan.request.clone();
    request.method = Some(cam::find(method)?);
    let mut explainer = Explainer::new(&plan.options, &request)?;
    let mut overlay = style.overlay(None)?;
    let shown = SHOWN_CASES.min(cases.len());
    let mut figures = |cases: &[Case]| -> Result<Vec<Markup>> {
        cases.iter().map(|case| figure(evaluation, case, &mut explainer, &mut overlay)).collect()
    };
    let best = figures(&cases[..shown])?;
    let worst = figures(&cases[cases.len() - shown..])?;
    let lines = [
        Curve { name: "deletion".into(), colour: "#c0392b", values: &means.deletion },
        Curve { name: "insertion".into(), colour: "#2a9d5c", values: &means.insertion },
    ];
    Ok(html! {
        h2 { (method) }
        p { "Measured on " (photos) " photos at " code { (layer) } "." }
        (curves("Pixels", "share of pixels, the map's highest first", &lines))
        @if let Some(sanity) = sanity {
            @let likeness = [&[1.0][..], &sanity.similarity].concat();
            (curves("Sanity", "share of weights drawn anew", &[
                Curve { name: "likeness of the maps".into(), colour: "#4c78a8", values: &likeness },
            ]))
        }
        @for film in films {
            p {
                (film.film.display()) ": flicker " (format!("{:.4}", film.single.flicker)) ", smoothed "
                (format!("{:.4}", film.smoothed.flicker)) " with a lag of " (film.smoothed.lag) " frames."
            }
        }
        h3 { "Best: insertion far above deletion" }
        @for figure in &best { (figure) }
        h3 { "Worst" }
        @for figure in &worst { (figure) }
    })
}

fn figure(evaluation: &Evaluation, case: &Case, explainer: &mut Explainer, overlay: &mut Overlay) -> Result<Markup> {
    explainer.set_class(Some(case.predicted))?;
    let mut frame = Frame::alone(&case.photo.path, case.photo.read()?, None);
    let explanation = explainer.explain(&frame.picture)?;
    overlay.draw(&mut frame, &explanation, explainer.context())?;
    let small = DynamicImage::from(frame.picture.into_image()).thumbnail(320, 320);
    let mut jpeg = Cursor::new(Vec::new());
    small.write_to(&mut jpeg, ImageFormat::Jpeg).context("cannot write a picture of the report")?;
    let source = format!("data:image/jpeg;base64,{}", BASE64_STANDARD.encode(jpeg.into_inner()));
    let right = case.predicted == case.photo.class_index;
    Ok(html! {
        figure {
            img src=(source) alt=(case.photo.path.display());
            figcaption {
                span class=(if right { "" } else { "wrong" }) {
                    (evaluation.labels[case.predicted]) (format!(" {:.0} %", 100.0 * case.probability))
                    @if !right { ", truly " (evaluation.labels[case.photo.class_index]) }
                }
                br;
                (format!("insertion {:.2}, deletion {:.2}", case.insertion, case.deletion))
            }
        }
    })
}
