//! Explanations against values from PyTorch's autograd, and their place on the picture.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{env, fs};

use image::{Rgb, RgbImage};
use ndarray::{Array1, Array2};
use whycam::onnx::proto::{Attribute, Graph, Node, Tensor, ValueInfo};
use whycam::onnx::{DataType, OnnxModel, WORKING_OPSET};
use whycam::overlay::{Colormap, HeatScale, Overlay, Style};
use whycam::{Explainer, ExplainerOptions, Frame, Medium, MediumKind, Time, TimeBase};

fn reference(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/flowers_vgg").join(name)
}

/// The picture that `tests/reference/flowers_vgg.py` makes too.
fn reference_picture() -> RgbImage {
    RgbImage::from_fn(224, 224, |x, y| Rgb([0, 1, 2].map(|c| ((x * 3 + y * 5 + c * 40 + x * y / 50) % 256) as u8)))
}

#[test]
fn maps_of_every_depth_are_those_of_autograd() {
    let logits: Array1<f32> = ndarray_npy::read_npy(reference("logits.npy")).unwrap();
    let layers = fs::read_to_string(reference("layers.txt")).unwrap();
    assert!(layers.lines().count() >= 6);
    for (number, layer) in layers.lines().enumerate() {
        for class in 0..logits.len() {
            let options = ExplainerOptions {
                model: Some("flowers-vgg".into()),
                layer: Some(layer.into()),
                class: Some(class.to_string()),
                ..ExplainerOptions::default()
            };
            let explanation = Explainer::new(&options).unwrap().explain(&reference_picture()).unwrap();
            assert!((explanation.logit - logits[class]).abs() < 1e-3, "{} for {}", explanation.logit, logits[class]);
            let expected: Array2<f32> = ndarray_npy::read_npy(reference(&format!("map_{number}_{class}.npy"))).unwrap();
            let map = pooled(&explanation.map.values, expected.dim());
            assert_alike(&map, &expected, &format!("{layer}, class {class}"));
            assert_eq!(explanation.map.evidence, expected.iter().any(|&v| v > 0.0), "{layer}, class {class}");
        }
    }
}

#[test]
fn other_methods_make_the_maps_of_their_formulas() {
    for method in ["hires-cam", "layer-cam"] {
        for class in 0..5 {
            let options = ExplainerOptions {
                model: Some("flowers-vgg".into()),
                method: Some(method.into()),
                class: Some(class.to_string()),
                ..ExplainerOptions::default()
            };
            let explanation = Explainer::new(&options).unwrap().explain(&reference_picture()).unwrap();
            let expected: Array2<f32> = ndarray_npy::read_npy(reference(&format!("{method}_{class}.npy"))).unwrap();
            assert_alike(&explanation.map.values, &expected, &format!("{method}, class {class}"));
        }
    }
}

#[test]
fn an_explainer_that_is_changed_makes_the_same_maps() {
    const CLASS: usize = 2;
    let options = ExplainerOptions {
        model: Some("flowers-vgg".into()),
        class: Some(CLASS.to_string()),
        ..ExplainerOptions::default()
    };
    let mut explainer = Explainer::new(&options).unwrap();
    let usual = explainer.facts().layer.clone();
    let assert_is = |explainer: &mut Explainer, file: String| {
        let expected: Array2<f32> = ndarray_npy::read_npy(reference(&file)).unwrap();
        let explanation = explainer.explain(&reference_picture()).unwrap();
        assert_alike(&pooled(&explanation.map.values, expected.dim()), &expected, &file);
    };
    let layers = fs::read_to_string(reference("layers.txt")).unwrap();
    for (number, layer) in layers.lines().enumerate() {
        explainer.set_layer(layer).unwrap();
        assert_is(&mut explainer, format!("map_{number}_{CLASS}.npy"));
    }
    explainer.set_layer(&usual).unwrap();
    assert!(explainer.set_layer("no such layer").is_err() && explainer.set_method("no-cam").is_err());
    for method in ["hires-cam", "layer-cam"] {
        explainer.set_method(method).unwrap();
        assert_is(&mut explainer, format!("{method}_{CLASS}.npy"));
    }
    let layers = explainer.layers().unwrap();
    assert!(layers[0] == usual && layers.len() > 2, "{layers:?}");
}

/// Cosine above 0.9999, and no value further off than 2e-3 of the largest.
fn assert_alike(map: &Array2<f32>, expected: &Array2<f32>, what: &str) {
    let largest = expected.iter().copied().fold(0.0, f32::max);
    let apart = map.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(apart <= 2e-3 * largest, "{what}: {apart} apart, largest {largest}");
    if largest > 0.0 {
        let dot: f32 = map.iter().zip(expected).map(|(a, b)| a * b).sum();
        let norm = |m: &Array2<f32>| m.iter().map(|v| v * v).sum::<f32>().sqrt();
        let cosine = dot / (norm(map) * norm(expected));
        assert!(cosine > 0.9999, "{what}: cosine {cosine}");
    }
}

#[test]
fn a_prepared_model_explains_a_batch_each_picture_for_its_own_class() {
    use whycam::grad::Explained;
    use whycam::session::{Input, Session};
    let layer = Some("/3/MaxPool".into());
    let options = ExplainerOptions { model: Some("flowers-vgg".into()), layer, ..ExplainerOptions::default() };
    let mut prepared = whycam::prepare(&options).unwrap();
    prepared.append_cam().unwrap();
    let outputs = Explained::NAMES;
    let mut session = Session::new(&prepared.model, whycam::Compute::default()).unwrap();
    let pictures = ndarray::Array4::from_shape_fn((2, 3, 224, 224), |(n, c, y, x)| {
        ((x * 3 + y * 5 + c * 40 + n * 77) % 256) as f32 / 255.0
    });
    let mut run = |pictures: ndarray::ArrayView4<f32>, classes: &[i64]| {
        let classes = Array1::from_vec(classes.to_vec()).into_dyn();
        let inputs = vec![
            (prepared.input.as_str(), Input::Float(pictures.into_dyn())),
            (whycam::grad::CLASS_INDEX, Input::Int64(classes.view())),
        ];
        let run = session.run(inputs).unwrap();
        let owned = |name: &str| run.floats(name).unwrap().to_owned();
        (owned(outputs.logits), owned(outputs.gradients), owned("cam"))
    };
    let (logits, gradients, cam) = run(pictures.view(), &[-1, 3]);
    let predicted = (0..5).max_by(|&a, &b| logits[[0, a]].total_cmp(&logits[[0, b]])).unwrap();
    assert_eq!((gradients.shape(), cam.shape()), (&[2, 128, 56, 56][..], &[2, 56, 56][..]));
    for (number, class) in [(0, predicted as i64), (1, 3)] {
        let picture = pictures.slice(ndarray::s![number..=number, .., .., ..]);
        let (_, alone, cam_alone) = run(picture, &[class]);
        let largest = alone.iter().copied().fold(0.0, |a: f32, b| a.max(b.abs()));
        let together = gradients.index_axis(ndarray::Axis(0), number);
        let apart = together.iter().zip(&alone).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(largest > 0.0 && apart < 1e-4 * largest, "picture {number}: {apart} apart of {largest}");
        let cam_apart = cam.index_axis(ndarray::Axis(0), number);
        let cam_apart = cam_apart.iter().zip(&cam_alone).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(cam_apart <= 1e-4 * cam_alone.iter().copied().fold(0.0, f32::max));
    }
}

/// The default layer of a net of these nodes, from `image` `[1,3,8,8]` to `logits`.
fn default_layer(folder: &Path, nodes: Vec<Node>, initializer: Vec<Tensor>) -> Result<String, whycam::Error> {
    let graph = Graph {
        node: nodes,
        initializer,
        input: vec![ValueInfo::tensor("image", DataType::Float, &[1, 3, 8, 8])],
        output: vec![ValueInfo::tensor("logits", DataType::Float, &[1, 2])],
        ..Graph::default()
    };
    let path = folder.join("net.onnx");
    fs::write(&path, OnnxModel::from_graph("net", WORKING_OPSET, graph).to_bytes()).unwrap();
    let options = ExplainerOptions { model: Some(path.display().to_string()), ..ExplainerOptions::default() };
    whycam::analyse(&options).map(|analysis| analysis.target.layer.tensor)
}

#[test]
fn the_default_layer_is_the_last_activation_before_trailing_pooling() {
    let folder = env::temp_dir().join(format!("whycam-layer-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let ints = |name: &str, values: &[i64]| Attribute::from_ints(name, values);
    let weights =
        |name: &str, dims: &[i64]| Tensor::from_f32s(name, dims, &vec![0.1; dims.iter().product::<i64>() as usize]);
    let conv = || Node::new("Conv", "conv", &["image", "w"], &["seen"]);
    let relu = || Node::new("Relu", "relu", &["seen"], &["active"]);
    let flat = |from: &str| Node::new("Flatten", "flat", &[from], &["flat"]);
    let gemm = || Node::new("Gemm", "gemm", &["flat", "v"], &["logits"]);

    let pool = Node::new("MaxPool", "pool", &["active"], &["pooled"])
        .with(ints("kernel_shape", &[2, 2]))
        .with(ints("strides", &[2, 2]));
    let vgg = vec![conv(), relu(), pool, flat("pooled"), gemm()];
    let vgg = default_layer(&folder, vgg, vec![weights("w", &[4, 3, 1, 1]), weights("v", &[64, 2])]);
    assert_eq!(vgg.unwrap(), "active");

    // As ConvNeXt ends: the pooled vector goes through [N,1,1,C], which is no picture.
    let pool = Node::new("GlobalAveragePool", "pool", &["active"], &["pooled"]);
    let turn = Node::new("Transpose", "turn", &["pooled"], &["vector"]).with(ints("perm", &[0, 2, 3, 1]));
    let convnext = vec![conv(), relu(), pool, turn, flat("vector"), gemm()];
    let convnext = default_layer(&folder, convnext, vec![weights("w", &[4, 3, 1, 1]), weights("v", &[4, 2])]);
    assert_eq!(convnext.unwrap(), "active");

    fs::remove_dir_all(&folder).unwrap();
}

/// Means over blocks, to the size that the reference keeps of a large map.
fn pooled(map: &Array2<f32>, to: (usize, usize)) -> Array2<f32> {
    let (block_h, block_w) = (map.nrows() / to.0, map.ncols() / to.1);
    let blocks = map.exact_chunks((block_h, block_w));
    let means: Vec<f32> = blocks.into_iter().map(|block| block.mean().unwrap()).collect();
    Array2::from_shape_vec(to, means).unwrap()
}

fn frame_of(picture: RgbImage) -> Frame {
    let medium = Medium {
        name: "picture".into(),
        path: None,
        kind: MediumKind::Still,
        width: picture.width(),
        height: picture.height(),
        time_base: TimeBase::MICROSECONDS,
    };
    Frame::now(&Arc::new(medium), 0, Time::START, picture)
}

/// A net that sees brightness: the mean of each 4x4 block, averaged into one logit.
fn write_brightness_net(folder: &Path, fit: &str) -> String {
    let weights = vec![1.0 / 48.0; 48];
    let graph = Graph {
        node: vec![
            Node::new("Conv", "see", &["image", "w"], &["seen"]).with(Attribute::from_ints("strides", &[4, 4])),
            Node::new("Relu", "relu", &["seen"], &["active"]),
            Node::new("GlobalAveragePool", "pool", &["active"], &["pooled"]),
            Node::new("Flatten", "flat", &["pooled"], &["flat"]),
            Node::new("Gemm", "classify", &["flat", "v"], &["logits"]),
        ],
        initializer: vec![
            Tensor::from_f32s("w", &[1, 3, 4, 4], &weights),
            Tensor::from_f32s("v", &[1, 2], &[1.0, -1.0]),
        ],
        input: vec![ValueInfo::tensor("image", DataType::Float, &[1, 3, 64, 64])],
        output: vec![ValueInfo::tensor("logits", DataType::Float, &[1, 2])],
        ..Graph::default()
    };
    let path = folder.join(format!("{fit}.onnx"));
    fs::write(&path, OnnxModel::from_graph("brightness", WORKING_OPSET, graph).to_bytes()).unwrap();
    let manifest = format!(
        "name = \"brightness\"\nlabels = [\"bright\", \"dark\"]\n[input]\nwidth = 64\nheight = 64\nfit = \"{fit}\"\nscale = 0.00392\n"
    );
    fs::write(path.with_extension("toml"), manifest).unwrap();
    path.display().to_string()
}

#[test]
fn a_bright_spot_gets_its_heat_where_it_is() {
    let folder = env::temp_dir().join(format!("whycam-marker-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    for fit in ["stretch", "crop", "letterbox"] {
        let options =
            ExplainerOptions { model: Some(write_brightness_net(&folder, fit)), ..ExplainerOptions::default() };
        let mut explainer = Explainer::new(&options).unwrap();
        let style =
            Style { colormap: Colormap::named("inferno").unwrap(), alpha: 1.0, scale: HeatScale::Frame, bar: false };
        let mut overlay = Overlay::new(style).unwrap();
        for (width, height) in [(640u32, 480u32), (270, 480), (1200, 300), (240, 240), (333, 1001)] {
            let side = width.min(height);
            // Within the middle square, which a crop sees too, and above the caption.
            for (across, down) in [(0.2, 0.2), (0.8, 0.25), (0.5, 0.5), (0.7, 0.75)] {
                let x = (width - side) / 2 + (f64::from(side) * across) as u32;
                let y = (height - side) / 2 + (f64::from(side) * down) as u32;
                let radius = (side / 16).max(2);
                let picture = RgbImage::from_fn(width, height, |px, py| {
                    let near = px.abs_diff(x) <= radius && py.abs_diff(y) <= radius;
                    Rgb(if near { [255; 3] } else { [0; 3] })
                });
                let explanation = explainer.explain(&picture).unwrap();
                let facts = explainer.facts().clone();
                let mut frame = frame_of(picture);
                overlay.draw(&mut frame, &explanation, &facts).unwrap();
                let (heat_x, heat_y) = centre_of_heat(&frame.picture);
                let cell_x = explanation.region.width / 16.0;
                let cell_y = explanation.region.height / 16.0;
                let place = format!("{fit} {width}x{height}: spot at {x},{y}, heat at {heat_x:.0},{heat_y:.0}");
                assert!((heat_x - f64::from(x)).abs() <= cell_x * 0.75, "{place}");
                assert!((heat_y - f64::from(y)).abs() <= cell_y * 0.75, "{place}");
            }
        }
    }
    fs::remove_dir_all(&folder).unwrap();
}

/// The centre of the pixels that are at least half as bright as the brightest, the caption's
/// lowest tenth left out.
fn centre_of_heat(frame: &RgbImage) -> (f64, f64) {
    let brightness = |p: &Rgb<u8>| p.0.iter().map(|&c| u32::from(c)).sum::<u32>();
    let rows = frame.height() * 88 / 100;
    let hottest = frame.enumerate_pixels().filter(|(_, y, _)| *y < rows).map(|(_, _, p)| brightness(p)).max().unwrap();
    let (mut sum_x, mut sum_y, mut count) = (0.0, 0.0, 0.0);
    for (x, y, pixel) in frame.enumerate_pixels() {
        if y < rows && brightness(pixel) * 2 >= hottest {
            sum_x += f64::from(x) + 0.5;
            sum_y += f64::from(y) + 0.5;
            count += 1.0;
        }
    }
    (sum_x / count, sum_y / count)
}

/// The places of the map lie where the receptive fields of the activations have their middles: a dot on the picture
/// changes activations evenly around it.
#[test]
fn a_map_lies_where_its_receptive_fields_do() {
    use whycam::grad::{CLASS_INDEX, Explained};
    use whycam::session::{Input, Session};
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/models");
    for net in ["resnet", "vgg", "alexnet", "mobilenet2", "squeezenet", "regnet", "convnext", "densenet"] {
        let Some((file, layer)) = early_layer(&models, net) else { panic!("{net} is not in models.json") };
        let model = Some(models.join(file).display().to_string());
        let analysis = whycam::analyse(&ExplainerOptions { model, layer: Some(layer), ..Default::default() }).unwrap();
        let place = analysis.target.layer.view.place;
        let side = analysis.manifest.input.height;
        let prepared = analysis.prepare().unwrap();
        let mut session = Session::new(&prepared.model, whycam::Compute::on_threads(1)).unwrap();
        let mut activations = |picture: &ndarray::Array4<f32>| {
            let class = Array1::from_elem(1, 0_i64).into_dyn();
            let inputs = vec![
                (prepared.input.as_str(), Input::Float(picture.view().into_dyn())),
                (CLASS_INDEX, Input::Int64(class.view())),
            ];
            session.run(inputs).unwrap().floats(Explained::NAMES.activations).unwrap().to_owned()
        };
        let blank = ndarray::Array4::<f32>::zeros((1, 3, side, side));
        let before = activations(&blank);
        let stride = place.stride[0].round() as usize;
        // Dots at every phase of the stride, so that rounding to places cancels out.
        let mut offsets = [0.0, 0.0];
        for step in 0..stride {
            let dot = side / 2 - stride / 2 + step;
            // Of either sign, since a ReLU or a maximum hides some of what a dot changes.
            let mut changed = before.mapv(|_| 0.0);
            for (channel, level) in [(0, 9.0), (0, -9.0), (1, 9.0), (1, -9.0), (2, 9.0), (2, -9.0)] {
                let mut picture = blank.clone();
                picture[[0, channel, dot, dot]] = level;
                changed = changed + (activations(&picture) - &before).mapv(f32::abs);
            }
            let changed = changed.sum_axis(ndarray::Axis(1)).into_dimensionality::<ndarray::Ix3>().unwrap();
            let places: Vec<[usize; 2]> =
                changed.indexed_iter().filter(|(_, v)| **v > 1e-7).map(|((_, y, x), _)| [y, x]).collect();
            for axis in 0..2 {
                let low = places.iter().map(|p| p[axis]).min().unwrap() as f64;
                let high = places.iter().map(|p| p[axis]).max().unwrap() as f64;
                let middle = place.first[axis] + place.stride[axis] * f64::midpoint(low, high);
                offsets[axis] += (middle - (dot as f64 + 0.5)) / stride as f64;
            }
        }
        for offset in offsets {
            assert!(offset.abs() < 0.01, "{net}: the map lies {offset} pixels off, at {place:?}");
        }
    }
}

fn early_layer(models: &Path, net: &str) -> Option<(String, String)> {
    let text = std::fs::read_to_string(models.join("models.json")).unwrap();
    let list: serde_json::Value = serde_json::from_str(&text).unwrap();
    let found = list.as_array()?.iter().find(|entry| entry["name"] == net)?;
    Some((found["file"].as_str()?.to_owned(), found["early"].as_str()?.to_owned()))
}

/// The memory of this process, in kB, as Linux tells it.
#[cfg(target_os = "linux")]
fn resident_kb() -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
#[cfg(target_os = "linux")]
fn explaining_over_and_over_takes_no_more_memory() {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/models/resnet.legacy.onnx");
    let model = Some(model.display().to_string());
    let mut explainer = Explainer::new(&ExplainerOptions { model, ..ExplainerOptions::default() }).unwrap();
    let picture = RgbImage::from_fn(64, 64, |x, y| Rgb([x as u8, y as u8, 9]));
    let mut explain = |times: usize| (0..times).for_each(|_| drop(explainer.explain(&picture).unwrap()));
    explain(1000);
    let before = resident_kb();
    explain(4000);
    let grown = resident_kb() - before;
    assert!(grown < 800, "{grown} kB more after 4000 pictures");
}
