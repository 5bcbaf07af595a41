//! Finding the output that holds a row of numbers for each picture, and what these numbers are.

use super::evidence::{Ending, Evidence, Meaning, evidence_of, is_named_for_classes, is_normalised, meaning_of};
use super::outputs::{Outputs, Source, chooses_or_reshapes_scores};
use super::score_row::{Probability, ScoreRow};
use super::segment::is_named_for_segments;
use super::task_kind::{Search, Task};
use crate::error::{Error, Result};
use crate::grad::axes::TensorLayout;
use crate::onnx::proto::Node;
use crate::onnx::{GraphIndex, OnnxModel};

/// An output that has the form of a row.
struct Head<'m> {
    output: &'m str,
    row: ScoreRow,
    /// The output's own numbers as floats.
    value: &'m str,
    evidence: Evidence,
    /// What its numbers are, if they are no scores of classes.
    other: Option<Meaning>,
    /// Whether its name speaks of classes.
    named: bool,
    /// Whether it is divided by its length.
    normalised: bool,
}

/// Finds the row: an output, or the tensor before its trailing softmax. Of several outputs it takes the one with the best
/// evidence that it holds classes, unless another task is asked for.
///
/// # Errors
/// No output has the form `[N,K]` with classes along `K`, nothing tells which one holds them, or none is called
/// `search.output`.
pub fn find_row(outputs: &Outputs, search: Search) -> Result<(Task, Vec<String>)> {
    let mut heads = Vec::new();
    let mut misfits = Vec::new();
    for output in search.considered(outputs.model)? {
        match head_of(outputs, output) {
            Ok(head) => heads.push(head),
            Err(misfit) => misfits.push(format!("{output} {:?} {misfit}", outputs.shape(output))),
        }
    }
    if heads.is_empty() {
        return Err(unknown_form(outputs.model, &misfits));
    }
    match search.task {
        Some("embed") => choose_other(outputs.model, &heads, Meaning::Embedding, search),
        Some("value") => choose_other(outputs.model, &heads, Meaning::Value, search),
        _ => choose(outputs.model, &heads, search),
    }
}

/// An embedding whose output holds the tokens of the picture, `[N,T,D]`, one of which stands for all.
pub fn find_tokens(outputs: &Outputs, search: Search) -> Result<Option<(Task, Vec<String>)>> {
    if !matches!(search.task, None | Some("embed")) {
        return Ok(None);
    }
    let asked = search.task.is_some();
    let considered = search.considered(outputs.model)?.into_iter();
    let found = considered.filter_map(|output| Some((output, outputs.layout(output)?))).find(|(output, layout)| {
        layout.order == [0, 2, 1]
            && outputs.shape(output).len() == 3
            && (asked || may_be_tokens(outputs, output, layout))
    });
    let Some((output, layout)) = found else { return Ok(None) };
    let which = if layout.prefix > Some(0) { "its first token is" } else { "the mean of its tokens is" };
    let notice = format!("output '{output}' {:?} holds tokens; {which} the embedding", outputs.shape(output));
    let row = ScoreRow { logits: output.to_owned(), classes: layout.channels, probability: Probability::Cosine };
    Ok(Some((Task::Embed(row), vec![notice])))
}

/// Whether tokens can be an embedding: not the scores or values of each token, nor of each character of a line of text.
fn may_be_tokens(outputs: &Outputs, output: &str, layout: &TensorLayout) -> bool {
    let bare = outputs
        .model
        .graph()
        .output
        .iter()
        .find(|info| info.name() == output)
        .is_some_and(|info| outputs.source_of(info.name()).is_ok_and(|source| source.ending == Ending::Bare));
    bare && layout.channels > 1
        && layout.height > 1
        && evidence_of(&outputs.index, &outputs.varying, output, output, Ending::Bare) != Evidence::Named
        && meaning_of(outputs, output, layout.channels) != Some(Meaning::Value)
}

/// Refuses a model whose only output, by its stated shape, is a picture. This spares a run of a large model with all its
/// tensors. `of_three_classes` says that three channels are known to be classes.
///
/// # Errors
/// No output can hold a row of numbers or the scores of pixels.
pub fn check_stated_shapes(model: &OnnxModel, output: Option<&str>, of_three_classes: bool) -> Result<()> {
    let index = GraphIndex::new(model.graph());
    let considered = model.graph().output.iter().filter(|info| output.is_none_or(|wanted| info.name() == wanted));
    let mut misfits = Vec::new();
    for info in considered {
        let dims = info.dims().unwrap_or_default();
        // It may be part of a detector.
        if dims.len() <= 3 || model.graph().output.len() > 1 {
            return Ok(());
        }
        let long = dims.iter().skip(1).filter(|length| length.is_some_and(|length| length > 1)).count();
        let picture = dims.get(1) == Some(&Some(3)) || dims.get(3) == Some(&Some(3));
        let ending = index.producer_node(info.name()).map_or("", Node::op);
        let certain = of_three_classes || is_named_for_segments(info.name()) || ending == "Softmax";
        let of_pixels = dims.len() == 4 && (!picture || certain);
        if long < 2 || of_pixels || chooses_or_reshapes_scores(&index, info.name()) {
            return Ok(());
        }
        misfits.push(format!("{} [{}] {SEVERAL_NUMBERS}", info.name(), info.dims_text()));
    }
    if misfits.is_empty() { Ok(()) } else { Err(unknown_form(model, &misfits)) }
}

const SEVERAL_NUMBERS: &str = "(several numbers for each of many places, as detectors and segmenters have)";

fn unknown_form(model: &OnnxModel, misfits: &[String]) -> Error {
    let wanted = "whycam explains classifiers, embeddings and values, whose output is [N,K], segmenters, and detectors of \
                  known layouts";
    model
        .error(format!("{wanted}; this model gives {}; --task and --output choose another reading", misfits.join(", ")))
}

fn list(heads: &[&Head]) -> String {
    let each = heads.iter().map(|head| format!("'{}' [N,{}]", head.output, head.row.classes));
    each.collect::<Vec<_>>().join(", ")
}

/// The output that a task other than classification is about.
fn choose_other(model: &OnnxModel, heads: &[Head], wanted: Meaning, search: Search) -> Result<(Task, Vec<String>)> {
    let mut fitting: Vec<&Head> = heads.iter().filter(|head| head.other == Some(wanted)).collect();
    if fitting.is_empty() {
        fitting = heads.iter().filter(|head| head.other.is_none()).collect();
    }
    if fitting.is_empty() {
        fitting = heads.iter().collect();
    }
    match fitting.as_slice() {
        [only] => Ok((task_of(only, wanted), Vec::new())),
        [first, ..] if fitting.iter().all(|head| head.row.logits == first.row.logits) => {
            Ok((task_of(first, wanted), Vec::new()))
        }
        several => {
            let task = search.task.unwrap_or_default();
            let problem = format!("nothing tells which of its outputs {} is meant by --task {task}", list(several));
            Err(model.error(format!("{problem}; --output chooses")))
        }
    }
}

fn task_of(head: &Head, meaning: Meaning) -> Task {
    match meaning {
        Meaning::Embedding => Task::Embed(ScoreRow { probability: Probability::Cosine, ..head.row.clone() }),
        // A value is what the model gives, after any sigmoid and factor.
        Meaning::Value => {
            let logits = head.value.to_owned();
            Task::Value(ScoreRow { logits, classes: head.row.classes, probability: Probability::Value })
        }
    }
}

fn choose(model: &OnnxModel, heads: &[Head], search: Search) -> Result<(Task, Vec<String>)> {
    let several_classes = |head: &&Head| head.row.classes > 1;
    let best = heads.iter().map(|head| head.evidence).max().unwrap_or(Evidence::Against);
    let of_best = || heads.iter().filter(|head| head.evidence == best);
    let named = of_best().find(|head| several_classes(head) && head.named);
    let Some(chosen) = named.or(of_best().find(several_classes)).or(of_best().next()) else {
        return Err(model.error("it has no output"));
    };
    let classify = search.task == Some("classify");
    let ScoreRow { logits, classes, .. } = &chosen.row;
    let rivals: Vec<&Head> = heads.iter().filter(|head| head.row.logits != *logits).collect();
    let (output, mut notices) = (chosen.output, Vec::new());
    let undecided =
        search.output.is_none() && rivals.iter().any(|rival| rival.evidence == best && several_classes(rival));
    if best == Evidence::Linear && undecided {
        let all = list(&heads.iter().collect::<Vec<_>>());
        let problem = format!("nothing tells which of its outputs {all} holds the scores of classes");
        return Err(model.error(format!("{problem}; --output chooses")));
    }
    // A label for each of several numbers says that they are classes, unless they are a vector of length 1.
    let labelled = search.labels == *classes && *classes > 1;
    let overrules = labelled && !chosen.normalised && best != Evidence::Against;
    let task = match chosen.other.filter(|_| !(classify || overrules)) {
        Some(meaning) => {
            let task = task_of(chosen, meaning);
            notices.push(format!(
                "output {} is taken for {}, since {}; --task classify explains it as {classes} classes",
                list(&[chosen]),
                meaning.noun(),
                meaning.reason(output, *classes),
            ));
            task
        }
        None if best == Evidence::Against && !classify => {
            let problem = "looks like boxes or other numbers, not like the scores of classes";
            let remedy = format!(
                "--task classify explains it as {classes} classes, --task value each number as it is, and --task embed the \
                 vector"
            );
            return Err(model.error(format!("its output {} {problem}; {remedy}", list(&[chosen]))));
        }
        None => Task::Classify(chosen.row.clone()),
    };
    if chosen.row.probability == Probability::Given {
        notices.push(format!(
            "output '{output}' holds probabilities that the model goes on from; the gradient starts at them, and vanishes \
             where one is close to 0 or 1"
        ));
    }
    if !rivals.is_empty() && search.output.is_none() {
        let others = list(&rivals);
        notices.push(format!("output '{output}' is explained; the model also gives {others}; --output chooses"));
    }
    let classes_guessed = best == Evidence::Linear && *classes != IMAGENET && !labelled && !classify;
    if classes_guessed && matches!(task, Task::Classify(_)) {
        notices.push(guessed_classes(output, *classes));
    }
    Ok((task, notices))
}

fn guessed_classes(output: &str, classes: usize) -> String {
    format!(
        "output '{output}' is explained as {classes} classes, though nothing in the file says that it holds classes; --labels \
         names them, --task embed or value reads it otherwise"
    )
}

/// As many classes as ImageNet has say what they are.
const IMAGENET: usize = 1000;

/// The head that ends in an output, or why it is none.
fn head_of<'m>(outputs: &Outputs<'m>, output: &'m str) -> Result<Head<'m>, String> {
    let Source { tensor, ending, of_largest, mut probability } = outputs.source_of(output)?;
    let classes = classes(outputs, tensor, of_largest)?;
    if classes == 1 && probability != Probability::Given {
        probability = Probability::Sigmoid;
    }
    let row = ScoreRow { logits: tensor.to_owned(), classes, probability };
    let mut evidence = evidence_of(&outputs.index, &outputs.varying, output, tensor, ending);
    // A probability that is enlarged is a quantity within bounds.
    if classes == 1 && ending == Ending::Sigmoid && outputs.is_enlarged(output) {
        evidence = Evidence::Against;
    }
    let other = (evidence != Evidence::Probability).then(|| meaning_of(outputs, output, classes)).flatten();
    let value = if outputs.is_float(output) { output } else { tensor };
    Ok(Head {
        output,
        row,
        value,
        evidence,
        other,
        named: is_named_for_classes(output),
        normalised: is_normalised(outputs, output),
    })
}

/// The number of classes along the one long axis of the logits.
fn classes(outputs: &Outputs, logits: &str, of_largest: bool) -> Result<usize, String> {
    let (shape, batch) = (outputs.shape(logits), outputs.batch);
    let of_one = match shape.split_first() {
        Some((first, rest)) if *first == batch && !rest.is_empty() => rest,
        // Without a batch axis.
        _ if batch == 1 && shape.len() == 1 => shape,
        _ => return Err(format!("(its first axis is not the batch of {batch})")),
    };
    let long: Vec<usize> = of_one.iter().copied().filter(|&d| d > 1).collect();
    match long.as_slice() {
        [] => Ok(1),
        [_] if outputs.has_position(logits) => Err("(a number for each cell or anchor of a map, no classes)".into()),
        [classes] => Ok(*classes),
        _ if of_largest => {
            Err(format!("(the largest of {shape:?}: the classes of a sequence or of pixels, not of the picture)"))
        }
        _ => Err(SEVERAL_NUMBERS.into()),
    }
}
