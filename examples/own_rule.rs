//! A gradient rule for an op of one's own: here `com.microsoft.QuickGelu`, `y = x sigmoid(α x)`, which
//! ONNX Runtime has and the standard has not.
//!
//! ```sh
//! cargo run --example own_rule
//! ```

#![allow(clippy::print_stdout)]

use ndarray::ArrayD;
use whycam::Result;
use whycam::grad::{Rules, Vjp, differentiate};
use whycam::onnx::proto::{Graph, Node, ValueInfo};
use whycam::onnx::{DataType, OnnxModel, WORKING_OPSET};
use whycam::session::{Input, Session, probe};

/// `dx = dy (s + α y (1 - s))`, `s = sigmoid(α x)`.
fn quick_gelu(vjp: &mut Vjp) -> Result<Option<String>> {
    let grad = vjp.grad()?;
    let alpha = vjp.backward.scalar(vjp.node.float("alpha").unwrap_or(1.702));
    let one = vjp.backward.scalar(1.0);
    let scaled = vjp.emit("Mul", &[vjp.wanted(), &alpha], vec![]);
    let s = vjp.emit("Sigmoid", &[&scaled], vec![]);
    let rest = vjp.emit("Sub", &[&one, &s], vec![]);
    let bend = vjp.emit("Mul", &[vjp.output_name(), &rest], vec![]);
    let bend = vjp.emit("Mul", &[&bend, &alpha], vec![]);
    let slope = vjp.emit("Add", &[&s, &bend], vec![]);
    Ok(Some(vjp.emit("Mul", &[&grad, &slope], vec![])))
}

fn main() -> Result<()> {
    let op = Node { domain: Some("com.microsoft".into()), ..Node::new("QuickGelu", "bend", &["x"], &["y"]) };
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
    let run = session.run(vec![("x", Input::Float(x.view())), ("seed", Input::Float(seed.view()))])?;
    println!("QuickGelu at {x}\nslopes       {}", run.floats(&gradient)?);
    Ok(())
}
