//! The example programs print correct results.

use std::path::{Path, PathBuf};
use std::process::Command;

/// What an example prints. Cargo builds the examples with the tests.
fn run(example: &str, arguments: &[&str]) -> String {
    let folder = Path::new(env!("CARGO_BIN_EXE_whycam")).with_file_name("examples");
    let program: PathBuf = folder.join(example);
    let output = Command::new(&program).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    let output = output.unwrap_or_else(|e| panic!("{}: {e}; build it with cargo build --examples", program.display()));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_custom_rule_gives_the_slope() {
    let printed = run("own_rule", &[]);
    let slopes = printed.split("slopes").nth(1).unwrap();
    let slopes: Vec<f64> = slopes.split(['[', ']', ',', ' ', '\n']).filter_map(|part| part.parse().ok()).collect();
    let gelu = |x: f64| x / (1.0 + (-1.702 * x).exp());
    let expected = [-2.0, -0.5, 0.5, 2.0].map(|x| (gelu(x + 1e-4) - gelu(x - 1e-4)) / 2e-4);
    assert_eq!(slopes.len(), 4, "{printed}");
    assert!(slopes.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-4), "{slopes:?}, {expected:?}");
}

#[test]
fn any_output_is_differentiated_by_any_tensor() {
    let model = ["models/flowers-vgg.onnx", "image", "1,3,224,224", "probabilities"];
    let printed = run("gradient", &[&model[..], &["/3/MaxPool_output_0"]].concat());
    assert!(printed.contains("[1, 128, 56, 56]"), "{printed}");
    let largest: f64 = printed.trim().rsplit(' ').next().unwrap().parse().unwrap();
    assert!(largest > 0.0, "{printed}");
}
