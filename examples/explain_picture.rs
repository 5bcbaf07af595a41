//! Prints what a picture shows, and where on it the evidence is strongest.
//!
//! ```sh
//! cargo run --example explain_picture -- flower.jpg
//! ```

#![allow(clippy::print_stdout)]

use whycam::Explainer;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("give the path of a picture")?;
    let mut explainer = Explainer::builder().model("flowers").build()?;
    let explanation = explainer.explain(&image::open(path)?.into_rgb8())?;
    println!("{}", explanation.captions(explainer.context()).join(", "));
    if let Some([x, y]) = explanation.hottest() {
        println!("the evidence is strongest at x {x:.0}, y {y:.0}");
    }
    Ok(())
}
