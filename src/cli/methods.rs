//! `whycam methods`

use anyhow::Result;
use whycam::cam::{METHODS, Method};

use super::output::{ExitStatus, print};

pub fn run() -> Result<ExitStatus> {
    let width = |text: fn(&Method) -> usize| METHODS.iter().map(text).max().unwrap_or(0);
    let (names, costs) = (width(|m| m.name.len()), width(|m| m.cost.len()));
    let line = |name: &str, cost: &str, good_for: &str| format!("{name:<names$}  {cost:<costs$}  {good_for}\n");
    let head = line("method", "passes for a picture", "good for");
    let lines = METHODS.iter().map(|method| line(method.name, method.cost, method.good_for));
    print(&std::iter::once(head).chain(lines).collect::<String>())
}
