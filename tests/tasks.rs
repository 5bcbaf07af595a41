//! Segmenters, embeddings, models of pictures and words, and values: what they say is what PyTorch and transformers say, and
//! the gradients are those of autograd.

use std::path::PathBuf;

use ndarray::{Array2, Array4, ArrayD, Axis};
use whycam::grad::{ACTIVATIONS, CLASS_INDEX, GRADIENTS, LOGITS};
use whycam::onnx::OnnxModel;
use whycam::session::{Input, Session};
use whycam::{Compute, Direction, Explainer, ModelOptions, Prediction, Request, ScoreQuery, cam, model};

use crate::support::maps::{self, Nearness};
use crate::support::task_case::{Case, NEAR, near, text};
use crate::support::{Folder, reference};

/// Runs a check on every model of the tasks and reports all failures at once.
fn on_every(tasks: &[&str], check: impl Fn(&Case) -> Result<(), String>) {
    let cases: Vec<Case> = Case::all().into_iter().filter(|case| tasks.contains(&case.task.as_str())).collect();
    assert!(cases.len() >= 2, "{} models", cases.len());
    let failures: Vec<String> =
        cases.iter().filter_map(|case| check(case).err().map(|problem| format!("{}: {problem}", case.name))).collect();
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), cases.len(), failures.join("\n"));
}

#[test]
fn segments_are_those_of_the_model_and_their_scores_sum_its_logits() {
    on_every(&["segment"], |case| {
        let explanation = case.explain(&Request::default()).map_err(text)?;
        let found = explanation.segments().ok_or("no segmenter")?;
        let explained = found.explained().ok_or("nothing is found")?;
        near(&[explained.class_index as f32], &[case.class_index as f32], 0.0)?;
        let mut shares = vec![0.0; case.shares.len()];
        let mut sums = vec![0.0; case.shares.len()];
        for segment in &found.segments {
            (shares[segment.class_index], sums[segment.class_index]) = (segment.share, segment.logit);
        }
        near(&shares, &case.shares, 1e-3)?;
        let largest = case.sums.iter().copied().fold(1.0, f32::max);
        near(&sums, &case.sums, 1e-3 * largest)
    });
}

#[test]
fn likeness_is_the_cosine_and_words_have_the_logits_of_transformers() {
    on_every(&["embed"], |case| {
        let explanation = case.explain(&Request::default()).map_err(text)?;
        let classes = explanation.classes().ok_or("no classes")?;
        let mut logits = vec![0.0; case.logits.len()];
        let mut probabilities = vec![0.0; case.logits.len()];
        let all = case.explain(&ranks(case.logits.len())).map_err(text)?;
        let others = all.classes().ok_or("no classes")?;
        (logits[others.class_index], probabilities[others.class_index]) = (others.logit, others.probability);
        for other in &others.others {
            (logits[other.class_index], probabilities[other.class_index]) = (other.logit, other.probability);
        }
        near(&logits, &case.logits, 1e-4)?;
        if !case.words.is_empty() {
            near(&probabilities, &case.probabilities, 1e-4)?;
        }
        near(&[classes.class_index as f32], &[case.class_index as f32], 0.0)?;
        if classes.cosine == case.words.is_empty() { Ok(()) } else { Err("a cosine is no probability".into()) }
    });
}

/// A request for the classes of all ranks.
fn ranks(count: usize) -> Request {
    let mut request = Request::default();
    request.scores = (0..count).map(ScoreQuery::Rank).collect();
    request
}

#[test]
fn values_are_those_of_the_model() {
    on_every(&["value"], |case| {
        let explanation = case.explain(&Request::default()).map_err(text)?;
        let Prediction::Values(values) = &explanation.prediction else { return Err("no values".into()) };
        near(&values.values, &case.logits, 1e-4)?;
        near(&[values.value()], &case.logits[..1], 1e-4)
    });
}

#[test]
fn the_gradient_of_a_score_is_that_of_autograd() {
    on_every(&["segment", "embed", "value"], |case| {
        let augmented = model::augmented(&case.options(), &case.request(), false, &mut None).map_err(text)?;
        let mut session = Session::new(&augmented.model, Compute::on_threads(1)).map_err(text)?;
        let class = if case.task == "value" { 0 } else { -1 };
        let (picture, asked) = (case.picture().into_dyn(), ArrayD::from_elem(vec![1], class));
        let inputs =
            vec![(augmented.input.as_str(), Input::Float(picture.view())), (CLASS_INDEX, Input::Int64(asked.view()))];
        let outputs = session.run(inputs).map_err(text)?;
        outputs.floats(LOGITS).map_err(text)?;
        for (what, row) in [(ACTIVATIONS, 0), (GRADIENTS, 1)] {
            let (found, expected) = (outputs.floats(what).map_err(text)?, case.expected());
            let expected = expected.index_axis(Axis(0), row);
            if found.len() != expected.len() {
                return Err(format!("{what} {:?}, not {:?}", found.shape(), expected.shape()));
            }
            let nearness = Nearness::of(found, expected.into_dyn());
            if !(nearness.largest > 0.0 && nearness.is_within(NEAR)) {
                return Err(format!("{what}: {nearness}"));
            }
        }
        Ok(())
    });
}

/// The map of activations and gradients `[2,C,h,w]`, before a `ReLU`.
fn formula(method: &str, values: &Array4<f32>) -> Array2<f32> {
    let (activations, gradients) = (values.index_axis(Axis(0), 0), values.index_axis(Axis(0), 1));
    let mean = gradients.mean_axis(Axis(2)).unwrap().mean_axis(Axis(1)).unwrap();
    let mean = mean.insert_axis(Axis(1)).insert_axis(Axis(2));
    match method {
        "grad-cam" => (&activations * &mean).sum_axis(Axis(0)),
        _ => (&activations * &gradients).sum_axis(Axis(0)),
    }
}

#[test]
fn the_map_of_a_score_is_the_formula_of_its_method() {
    on_every(&["segment", "embed", "value"], |case| {
        for method in ["grad-cam", "hires-cam"] {
            // A norm follows the layer, so that the gradient times the activations sums to zero at each cell.
            if method == "hires-cam" && case.name.starts_with("siglip") {
                continue;
            }
            let mut request = case.request();
            request.method = Some(cam::find(method).map_err(text)?);
            let map = case.explain(&request).map_err(text)?.map;
            let signed = formula(method, &case.expected());
            let expected = if case.task == "value" { signed } else { signed.mapv(|value| value.max(0.0)) };
            let nearness = Nearness::of(map.values.view().into_dyn(), expected.view().into_dyn());
            if !nearness.is_within(NEAR) {
                return Err(format!("{method}: {nearness}"));
            }
        }
        Ok(())
    });
}

#[test]
fn the_map_of_a_segment_is_that_of_pytorch_grad_cam() {
    on_every(&["segment"], |case| {
        let path = reference(&format!("tasks/{}.map.npy", case.name));
        let Ok(expected) = ndarray_npy::read_npy::<_, Array2<f32>>(path) else {
            // pytorch-grad-cam takes no tokens without a function that folds them.
            return if case.name == "segformer" { Ok(()) } else { Err("it has no reference".into()) };
        };
        let map = case.explain(&case.request()).map_err(text)?.map;
        maps::compare(&map.values, &expected, NEAR, &case.name)
    });
}

/// Perturbation methods score the same cells as the gradient.
#[test]
fn methods_of_many_runs_explain_segments_and_likeness() {
    for name in ["unet", "channels_last", "embedding", "age"] {
        let case = Case::named(name);
        for method in
            ["eigen-cam", "ablation-cam", "recipro-cam", "score-cam", "smooth-grad-cam++", "integrated-gradients"]
        {
            let mut request = Request::default();
            request.method = Some(cam::find(method).unwrap());
            let map = case.explain(&request).unwrap_or_else(|e| panic!("{name} {method}: {e}")).map;
            assert!(map.values.iter().all(|value| value.is_finite()), "{name} {method}");
        }
    }
}

#[test]
fn what_makes_a_value_fall_is_the_negative_of_what_makes_it_rise() {
    let case = Case::named("age");
    let up = case.explain(&Request::default()).unwrap().map;
    let mut request = Request::default();
    request.direction = Direction::Down;
    let down = case.explain(&request).unwrap().map;
    assert!(up.evidence && up.values.iter().any(|value| *value != 0.0));
    let sum = (&up.values + &down.values).iter().copied().map(f32::abs).fold(0.0, f32::max);
    assert!(sum < 1e-5 * up.strength(), "{sum}");
}

/// A part of the picture takes the place of the segment.
#[test]
fn a_region_gives_the_sum_of_its_logits() {
    let case = Case::named("unet_bare");
    let options = case.options();
    let mut session = Session::new(&OnnxModel::read(&case.path()).unwrap(), Compute::on_threads(1)).unwrap();
    let picture = case.picture().into_dyn();
    let outputs = session.run(vec![("image", Input::Float(picture.view()))]).unwrap();
    let logits = outputs.floats("output").unwrap();
    let mut request = Request::default();
    request.scores = vec![ScoreQuery::Class("3".into())];
    // Cells are 2 pixels wide: columns 4 to 9, rows 10 to 12.
    request.area = Some("8,20,12,6".parse().unwrap());
    let explanation = Explainer::new(&options, &request).unwrap().explain_tensor(picture.view()).unwrap();
    let expected = logits.slice(ndarray::s![0, 3, 10..13, 4..10]).sum();
    let found = explanation.segments().and_then(|found| found.explained()).unwrap();
    assert_eq!(found.class_index, 3);
    assert!((found.logit - expected).abs() < 1e-3, "{} {expected}", found.logit);
}

#[test]
fn a_prepared_model_explains_itself_again() {
    for case in Case::all() {
        let folder = Folder::new(&format!("tasks-{}", case.name));
        let prepared = folder.file("prepared.onnx");
        let augmented = model::augmented(&case.options(), &case.request(), false, &mut None).unwrap();
        std::fs::write(&prepared, augmented.model.to_bytes()).unwrap();
        let mut options = ModelOptions::default();
        options.model = PathBuf::from(&prepared).into();
        let again = Explainer::new(&options, &Request::default()).unwrap_or_else(|e| panic!("{}: {e}", case.name));
        assert_eq!(again.context().task, case.task, "{}", case.name);
        let own: Vec<Vec<u32>> =
            [case.graph(), prepared.clone().into()].iter().map(|path| case.own_output(path)).collect();
        assert_eq!(own[0], own[1], "{}: its own output has changed", case.name);
        let mut again = again;
        let map = again.explain_tensor(case.picture().view().into_dyn()).unwrap().map;
        let expected = case.explain(&case.request()).unwrap().map;
        maps::compare(&map.values, &expected.values, NEAR, &case.name).unwrap();
    }
}

#[test]
fn maps_of_attention_are_those_of_the_papers() {
    for (name, method) in [("clip", "legrad"), ("clip", "grad-eclip"), ("siglip", "legrad")] {
        let case = Case::named(name);
        let mut request = Request::default();
        request.method = Some(cam::find(method).unwrap());
        let map = case.explain(&request).unwrap_or_else(|e| panic!("{name} {method}: {e}")).map;
        let expected: Array2<f32> = ndarray_npy::read_npy(reference(&format!("tasks/{name}.{method}.npy"))).unwrap();
        maps::compare(&map.values, &expected, NEAR, &format!("{name} {method}")).unwrap();
    }
    let mut request = Request::default();
    request.method = Some(cam::find("legrad").unwrap());
    let error = Case::named("age").explain(&request).unwrap_err().to_string();
    assert!(error.contains("no layer of tokens") && error.contains("grad-cam"), "{error}");
}
