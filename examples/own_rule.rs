//! A gradient rule for an op outside the ONNX standard: ONNX Runtime's `com.microsoft.QuickGelu`,
//! `y = x sigmoid(α x)`.
//!
//! ```sh
//! cargo run --example own_rule
//! ```

#![allow(clippy::print_stdout)]

use ndarray::ArrayD;
use whycam::Result;
use whycam::grad::{Gradient, Rules, Vjp, differentiate};
use whycam::onnx::proto::{Graph, Node, ValueInfo};
use whycam::onnx::{DataType, OnnxModel, WORKING_OPSET};
use whycam::session::{Input, Session, probe};

/// `dx = dy (s + α y (1 - s))`, `s = sigmoid(α x)`.
fn quick_gelu(vjp: Vjp) -> Gradient {
    let alpha = vjp.float("alpha", 1.702);
    let s = (vjp.x() * alpha).sigmoid();
    vjp.chain(s + vjp.y() * (1.0 - s) * alpha)
}

fn main() -> Result<()> {
    let op = Node { domain: Some("com.microsoft".into()), ..Node::new("QuickGelu", "gelu", &["x"], &["y"]) };
    let graph = Graph {
        name: Some("example".into()),
        node: vec![op],
        input: vec![ValueInfo::tensor("x", DataType::Float, &[1, 4])],
        output: vec![ValueInfo::untyped("y")],
        ..Graph::default()
    };
    let mut model = OnnxModel::from_graph("example", WORKING_OPSET, graph);
    model.import("com.microsoft", 1);

    let rules = Rules::default().with("com.microsoft", "QuickGelu", quick_gelu);
    let tensors = probe(&mut model, &[("x", vec![1, 4])])?;
    let (patch, gradient) = differentiate(&model, &tensors, &rules, "y", "seed", "x")?;
    patch.apply(&mut model);
    model.add_input("seed", DataType::Float, &[1, 4]);
    model.add_output(&gradient);

    let x = ndarray::arr2(&[[-2.0f32, -0.5, 0.5, 2.0]]).into_dyn();
    let seed = ArrayD::ones(x.shape());
    let mut session = Session::new(&model, whycam::Compute::default())?;
    let outputs = session.run(vec![("x", Input::Float(x.view())), ("seed", Input::Float(seed.view()))])?;
    println!("QuickGelu at {x}\nslopes       {}", outputs.floats(&gradient)?);
    Ok(())
}
