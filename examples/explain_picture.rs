//! Says what a picture shows, and where on it the evidence is strongest.
//!
//! ```sh
//! cargo run --example explain_picture -- flower.jpg
//! ```

#![allow(clippy::print_stdout)]

use whycam::{Explainer, ExplainerOptions};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("give the path of a picture")?;
    let picture = image::open(path)?.into_rgb8();
    let mut explainer = Explainer::new(&ExplainerOptions::default())?;
    let explanation = explainer.explain(&picture)?;

    let label = explainer.facts().label(explanation.class_index);
    let map = &explanation.map.values;
    let hottest = map.indexed_iter().max_by(|a, b| a.1.total_cmp(b.1)).map(|(place, _)| place);
    println!("{label} ({:.0} %)", 100.0 * explanation.probability);
    if let Some((row, column)) = hottest.filter(|_| explanation.map.evidence) {
        let cell = |at: usize, cells: usize, start: f64, length: f64| start + (at as f64 + 0.5) / cells as f64 * length;
        let x = cell(column, map.ncols(), explanation.region.x, explanation.region.width);
        let y = cell(row, map.nrows(), explanation.region.y, explanation.region.height);
        println!("the strongest evidence lies around x {x:.0}, y {y:.0}");
    }
    Ok(())
}
