//! The equation of an Einsum node (<https://onnx.ai/onnx/operators/onnx__Einsum.html>).

use super::proto::Node;

/// The terms of an Einsum equation, one letter per axis: those of the inputs, and that of the output. An ellipsis is
/// replaced by letters. `None` if the equation does not fit the ranks of the inputs.
pub fn einsum_terms(node: &Node, ranks: &[usize]) -> Option<(Vec<String>, String)> {
    let equation: String = node.string("equation")?.chars().filter(|c| !c.is_whitespace()).collect();
    let (inputs, output) = match equation.split_once("->") {
        Some((inputs, output)) => (inputs, Some(output.to_owned())),
        None => (equation.as_str(), None),
    };
    let terms: Vec<&str> = inputs.split(',').collect();
    let letters_in = |term: &str| term.chars().filter(char::is_ascii_alphabetic).count();
    let dots = terms.iter().zip(ranks).filter(|(term, _)| term.contains("..."));
    let dots = dots.map(|(term, rank)| rank.checked_sub(letters_in(term))).collect::<Option<Vec<_>>>()?;
    let longest = dots.iter().max().copied().unwrap_or(0);
    if terms.len() != ranks.len() || dots.iter().any(|d| *d != longest) {
        return None;
    }
    let free: String =
        ('a'..='z').chain('A'..='Z').filter(|letter| !equation.contains(*letter)).take(longest).collect();
    let output = output.unwrap_or_else(|| {
        // Without an arrow, the output has the letters that occur once, in alphabetical order.
        let mut letters: Vec<char> =
            inputs.chars().filter(|l| l.is_alphabetic() && inputs.matches(*l).count() == 1).collect();
        letters.sort_unstable();
        format!("{}{}", if dots.is_empty() { "" } else { "..." }, letters.into_iter().collect::<String>())
    });
    let terms: Vec<String> = terms.iter().map(|term| term.replace("...", &free)).collect();
    let fit = terms.iter().zip(ranks).all(|(term, rank)| term.len() == *rank && !term.contains('.'));
    fit.then(|| (terms, output.replace("...", &free)))
}
