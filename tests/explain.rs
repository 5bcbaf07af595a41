//! Explanations against values from PyTorch's autograd, and their position on the picture.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use image::{Rgb, RgbImage};
use ndarray::{Array1, Array2};
use whycam::cam;
use whycam::grad::{ACTIVATIONS, CLASS_INDEX, GRADIENTS, LOGITS};
use whycam::model::{Located, augment, augmented, load, locate, type_tensors};
use whycam::onnx::proto::{Attribute, Graph, Node, Tensor, ValueInfo};
use whycam::onnx::{DataType, OnnxModel, WORKING_OPSET};
use whycam::overlay::{Blend, Colormap, HeatScale, Overlay, Style};
use whycam::plumbing::{Frame, Medium, MediumKind, Time, TimeBase};
use whycam::session::{Input, Session};
use whycam::{Compute, Explainer, ModelOptions, Request, Result};

use crate::support::{Folder, reference};

/// A reference map of `flowers-vgg`.
fn expected_map(file: &str) -> Array2<f32> {
    ndarray_npy::read_npy(reference("flowers_vgg").join(file)).unwrap()
}

/// The layers that have reference maps, one a line.
fn reference_layers() -> String {
    fs::read_to_string(reference("flowers_vgg/layers.txt")).unwrap()
}

/// A model as far as its target layer is found.
fn located(model: &str, request: &Request) -> Result<Located> {
    let mut options = ModelOptions::default();
    options.model = model.into();
    locate(type_tensors(load(&options)?)?, request)
}

/// The picture that `tests/reference/flowers_vgg.py` makes too.
fn reference_picture() -> RgbImage {
    RgbImage::from_fn(224, 224, |x, y| Rgb([0, 1, 2].map(|c| ((x * 3 + y * 5 + c * 40 + x * y / 50) % 256) as u8)))
}

#[test]
fn maps_of_every_depth_are_those_of_autograd() {
    let logits: Array1<f32> = ndarray_npy::read_npy(reference("flowers_vgg/logits.npy")).unwrap();
    let layers = reference_layers();
    assert!(layers.lines().count() >= 6);
    for (number, layer) in layers.lines().enumerate() {
        for class in 0..logits.len() {
            let mut explainer = Explainer::builder().model("flowers-vgg").layer(layer).class(class).build().unwrap();
            let explanation = explainer.explain(&reference_picture()).unwrap();
            let logit = explanation.classes().unwrap().logit;
            assert!((logit - logits[class]).abs() < 1e-3, "{logit} for {}", logits[class]);
            let expected = expected_map(&format!("map_{number}_{class}.npy"));
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
            let builder = Explainer::builder().model("flowers-vgg").method(cam::find(method).unwrap()).class(class);
            let explanation = builder.build().unwrap().explain(&reference_picture()).unwrap();
            let expected = expected_map(&format!("{method}_{class}.npy"));
            assert_alike(&explanation.map.values, &expected, &format!("{method}, class {class}"));
        }
    }
}

#[test]
fn an_explainer_that_is_changed_makes_the_same_maps() {
    const CLASS: usize = 2;
    let mut explainer = Explainer::builder().model("flowers-vgg").class(CLASS).build().unwrap();
    let usual = explainer.context().layer.clone();
    let assert_is = |explainer: &mut Explainer, file: String| {
        let expected = expected_map(&file);
        let explanation = explainer.explain(&reference_picture()).unwrap();
        assert_alike(&pooled(&explanation.map.values, expected.dim()), &expected, &file);
    };
    let layers = reference_layers();
    for (number, layer) in layers.lines().enumerate() {
        explainer.set_layer(layer.into()).unwrap();
        assert_is(&mut explainer, format!("map_{number}_{CLASS}.npy"));
    }
    explainer.set_layer(usual.as_str().into()).unwrap();
    assert!(explainer.set_layer("no such layer".into()).is_err() && cam::find("no-cam").is_err());
    assert_eq!(explainer.context().layer, usual);
    for method in ["hires-cam", "layer-cam"] {
        explainer.set_method(cam::find(method).unwrap()).unwrap();
        assert_is(&mut explainer, format!("{method}_{CLASS}.npy"));
    }
    let layers = explainer.layers().unwrap();
    assert!(layers[0] == usual && layers.len() > 2, "{layers:?}");
}

/// The cosine is above 0.9999, and no value differs by more than 2e-3 of the largest.
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
fn an_augmented_model_explains_a_batch_with_a_class_for_each_picture() {
    let (mut options, mut request) = (ModelOptions::default(), Request::default());
    options.model = "flowers-vgg".into();
    request.layers = vec!["/3/MaxPool".into()];
    let mut augmented = augmented(&options, &request, false, &mut None).unwrap();
    augmented.append_cam().unwrap();
    let mut session = Session::new(&augmented.model, Compute::default()).unwrap();
    let pictures = ndarray::Array4::from_shape_fn((2, 3, 224, 224), |(n, c, y, x)| {
        ((x * 3 + y * 5 + c * 40 + n * 77) % 256) as f32 / 255.0
    });
    let mut run = |pictures: ndarray::ArrayView4<f32>, classes: &[i64]| {
        let classes = Array1::from_vec(classes.to_vec()).into_dyn();
        let inputs = vec![
            (augmented.input.as_str(), Input::Float(pictures.into_dyn())),
            (CLASS_INDEX, Input::Int64(classes.view())),
        ];
        let run = session.run(inputs).unwrap();
        let owned = |name: &str| run.floats(name).unwrap().to_owned();
        (owned(LOGITS), owned(GRADIENTS), owned("cam"))
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
fn default_layer(folder: &Path, nodes: Vec<Node>, initializer: Vec<Tensor>) -> Result<String> {
    let graph = Graph {
        node: nodes,
        initializer,
        input: vec![ValueInfo::tensor("image", DataType::Float, &[1, 3, 8, 8])],
        output: vec![ValueInfo::tensor("logits", DataType::Float, &[1, 2])],
        ..Graph::default()
    };
    let path = folder.join("net.onnx");
    fs::write(&path, OnnxModel::from_graph("net", WORKING_OPSET, graph).to_bytes()).unwrap();
    let located = located(&path.display().to_string(), &Request::default())?;
    Ok(located.targets[0].layer.tensor.clone())
}

#[test]
fn the_default_layer_is_the_last_activation_before_trailing_pooling() {
    let folder = Folder::new("layer");
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
    let vgg = default_layer(&folder.0, vgg, vec![weights("w", &[4, 3, 1, 1]), weights("v", &[64, 2])]);
    assert_eq!(vgg.unwrap(), "active");

    // As in ConvNeXt: the pooled vector passes through [N,1,1,C], which is no picture.
    let pool = Node::new("GlobalAveragePool", "pool", &["active"], &["pooled"]);
    let turn = Node::new("Transpose", "turn", &["pooled"], &["vector"]).with(ints("perm", &[0, 2, 3, 1]));
    let convnext = vec![conv(), relu(), pool, turn, flat("vector"), gemm()];
    let convnext = default_layer(&folder.0, convnext, vec![weights("w", &[4, 3, 1, 1]), weights("v", &[4, 2])]);
    assert_eq!(convnext.unwrap(), "active");
}

/// Means over blocks, to the size to which the reference reduces a large map.
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
        address: None,
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
    let folder = Folder::new("marker");
    for fit in ["stretch", "crop", "letterbox"] {
        let model = write_brightness_net(&folder.0, fit);
        let mut explainer = Explainer::builder().model(model.as_str()).build().unwrap();
        let style = Style {
            colormap: Colormap::named("inferno").unwrap(),
            blend: Blend::Even,
            alpha: 1.0,
            scale: HeatScale::Frame,
            bar: false,
        };
        let mut overlay = Overlay::new(style).unwrap();
        for (width, height) in [(640u32, 480u32), (270, 480), (1200, 300), (240, 240), (333, 1001)] {
            let side = width.min(height);
            // In the middle square, which a crop keeps, and above the caption.
            for (across, down) in [(0.2, 0.2), (0.8, 0.25), (0.5, 0.5), (0.7, 0.75)] {
                let x = (width - side) / 2 + (f64::from(side) * across) as u32;
                let y = (height - side) / 2 + (f64::from(side) * down) as u32;
                let radius = (side / 16).max(2);
                let picture = RgbImage::from_fn(width, height, |px, py| {
                    let near = px.abs_diff(x) <= radius && py.abs_diff(y) <= radius;
                    Rgb(if near { [255; 3] } else { [0; 3] })
                });
                let explanation = explainer.explain(&picture).unwrap();
                let context = explainer.context().clone();
                let mut frame = frame_of(picture);
                overlay.draw(&mut frame, &explanation, &context).unwrap();
                let (heat_x, heat_y) = centre_of_heat(&frame.picture);
                let cell_x = explanation.region.width / 16.0;
                let cell_y = explanation.region.height / 16.0;
                let what = format!("{fit} {width}x{height}: spot at {x},{y}, heat at {heat_x:.0},{heat_y:.0}");
                assert!((heat_x - f64::from(x)).abs() <= cell_x * 0.75, "{what}");
                assert!((heat_y - f64::from(y)).abs() <= cell_y * 0.75, "{what}");
            }
        }
    }
}

/// The centre of the pixels that are at least half as bright as the brightest, without the rows of the caption.
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

/// The map's cells lie at the centres of the activations' receptive fields: a dot on the picture changes the activations
/// evenly around it.
#[test]
fn a_map_lies_where_its_receptive_fields_do() {
    let models = reference("models");
    for net in ["resnet", "vgg", "alexnet", "mobilenet2", "squeezenet", "regnet", "convnext", "densenet"] {
        let Some((file, layer)) = early_layer(&models, net) else { panic!("{net} is not in models.json") };
        let mut request = Request::default();
        request.layers = vec![layer.as_str().into()];
        let located = located(&models.join(file).display().to_string(), &request).unwrap();
        let geometry = located.targets[0].layer.layout.geometry;
        let side = located.typed.loaded.manifest.input.height;
        let augmented = augment(located, false).unwrap();
        let mut session = Session::new(&augmented.model, Compute::on_threads(1)).unwrap();
        let mut activations = |picture: &ndarray::Array4<f32>| {
            let class = Array1::from_elem(1, 0_i64).into_dyn();
            let inputs = vec![
                (augmented.input.as_str(), Input::Float(picture.view().into_dyn())),
                (CLASS_INDEX, Input::Int64(class.view())),
            ];
            session.run(inputs).unwrap().floats(ACTIVATIONS).unwrap().to_owned()
        };
        let blank = ndarray::Array4::<f32>::zeros((1, 3, side, side));
        let before = activations(&blank);
        let stride = geometry.stride[0].round() as usize;
        // Dots at every phase of the stride, so that rounding to cells cancels out.
        let mut offsets = [0.0, 0.0];
        for step in 0..stride {
            let dot = side / 2 - stride / 2 + step;
            // Of both signs, since a ReLU or a maximum hides some changes.
            let mut changed = before.mapv(|_| 0.0);
            for (channel, level) in [(0, 9.0), (0, -9.0), (1, 9.0), (1, -9.0), (2, 9.0), (2, -9.0)] {
                let mut picture = blank.clone();
                picture[[0, channel, dot, dot]] = level;
                changed = changed + (activations(&picture) - &before).mapv(f32::abs);
            }
            let changed = changed.sum_axis(ndarray::Axis(1)).into_dimensionality::<ndarray::Ix3>().unwrap();
            let cells: Vec<[usize; 2]> =
                changed.indexed_iter().filter(|(_, v)| **v > 1e-7).map(|((_, y, x), _)| [y, x]).collect();
            for axis in 0..2 {
                let low = cells.iter().map(|p| p[axis]).min().unwrap() as f64;
                let high = cells.iter().map(|p| p[axis]).max().unwrap() as f64;
                let middle = geometry.first[axis] + geometry.stride[axis] * f64::midpoint(low, high);
                offsets[axis] += (middle - (dot as f64 + 0.5)) / stride as f64;
            }
        }
        for offset in offsets {
            assert!(offset.abs() < 0.01, "{net}: the map lies {offset} pixels off, with {geometry:?}");
        }
    }
}

fn early_layer(models: &Path, net: &str) -> Option<(String, String)> {
    let text = std::fs::read_to_string(models.join("models.json")).unwrap();
    let list: serde_json::Value = serde_json::from_str(&text).unwrap();
    let found = list.as_array()?.iter().find(|entry| entry["name"] == net)?;
    Some((found["file"].as_str()?.to_owned(), found["early"].as_str()?.to_owned()))
}
