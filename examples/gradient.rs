//! The gradient of any output of an ONNX model with respect to any of its tensors.
//!
//! ```sh
//! cargo run --example gradient -- models/flowers-vgg.onnx image 1,3,224,224 probabilities /3/MaxPool_output_0
//! ```

#![allow(clippy::print_stdout)]

use ndarray::ArrayD;
use whycam::grad::{Rules, differentiate};
use whycam::onnx::{DataType, OnnxModel};
use whycam::session::{Input, Session, probe};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path, input, shape, output, tensor] = arguments.as_slice() else {
        return Err("give a model, its input, the input's shape, an output and a tensor".into());
    };
    let shape = shape.split(',').map(str::parse).collect::<Result<Vec<usize>, _>>()?;

    let mut model = OnnxModel::read(path.as_ref())?;
    let tensors = probe(&mut model, &[(input, shape.clone())])?;
    let (patch, gradient) = differentiate(&model, &tensors, &Rules::default(), output, "seed", tensor)?;
    patch.apply(&mut model);
    let of_output = &tensors[output].shape;
    model.add_input("seed", DataType::Float, &of_output.iter().map(|&d| d as i64).collect::<Vec<_>>());
    model.add_output(&gradient);

    // The gradient of the output's first number, at an input of all 0.5.
    let (values, mut seed) = (ArrayD::from_elem(shape, 0.5), ArrayD::zeros(of_output.as_slice()));
    seed.iter_mut().take(1).for_each(|first| *first = 1.0);
    let mut session = Session::new(&model, whycam::Compute::default())?;
    let run = session.run(vec![(input, Input::Float(values.view())), ("seed", Input::Float(seed.view()))])?;
    let gradient = run.floats(&gradient)?;
    let largest = gradient.iter().copied().map(f32::abs).fold(0.0, f32::max);
    println!("d {output} / d {tensor}: {:?}, up to {largest:e}", gradient.shape());
    Ok(())
}
