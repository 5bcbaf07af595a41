//! Several classes, contrasts, fused layers, and every format of written maps.

use std::fs;
use std::path::Path;

use ndarray::{Array2, Axis, Ix4, Zip};
use serde_json::Value;
use whycam::cam::{self, CamMap, MapCrop, crop_map};
use whycam::grad::{ACTIVATIONS, CLASS_INDEX, GRADIENTS, LayerName};
use whycam::model::{self, Region};
use whycam::session::{Input, Session};
use whycam::sink::hot_boxes;
use whycam::{
    ClassPrediction, Compute, Explainer, ExplainerBuilder, Explanation, Fusion, ModelOptions, Request, ScoreQuery,
};

use crate::support::maps::{self, Tolerance};
use crate::support::{self, Folder, net, photo, picture, stderr, stdout, whycam};

fn builder(model: &str) -> ExplainerBuilder {
    Explainer::builder().model(model).compute(Compute::on_threads(1))
}

/// The classes of an explanation.
fn classes(explanation: &Explanation) -> &ClassPrediction {
    explanation.classes().expect("a classifier")
}

fn assert_near(found: &Array2<f32>, expected: &Array2<f32>, what: &str) {
    maps::assert_near(found, expected, Tolerance::of_difference(1e-3), what);
}

#[test]
fn several_classes_of_one_run_have_the_maps_of_each_alone() {
    let nets = [
        "resnet.legacy",
        "vgg.legacy",
        "vit_class_token.dynamo",
        "swin.legacy",
        "googlenet.dynamo",
        "keras_residual.tf2onnx",
    ];
    let nets = nets.map(net);
    for model in nets.iter().map(String::as_str).chain(["flowers-vgg"]) {
        for method in ["layer-cam", "eigen-grad-cam", "recipro-cam", "shapley-cam"] {
            let ask = |class: &str| {
                let scores = ScoreQuery::parse_list(class).unwrap();
                let builder = builder(model).scores(scores).method(cam::find(method).unwrap());
                builder.build().unwrap().explain(&photo()).unwrap()
            };
            let explanation = ask("top3,1");
            let all = classes(&explanation);
            assert_eq!(all.others.len(), 3, "{model}");
            assert_eq!(all.top[..3].iter().map(|r| r.class_index).collect::<Vec<_>>(), {
                let others = all.others[..2].iter().map(|other| other.class_index);
                std::iter::once(all.class_index).chain(others).collect::<Vec<_>>()
            });
            assert_eq!(all.others[2].class_index, 1);
            for other in &all.others {
                let alone = ask(&other.class_index.to_string());
                assert_near(&other.map.values, &alone.map.values, &format!("{model}, {method}"));
                assert!((other.logit - classes(&alone).logit).abs() < 1e-4);
            }
        }
    }
}

#[test]
fn a_prepared_model_gives_each_of_several_classes_its_own_map() {
    let folder = Folder::new("prepared-classes");
    let model = net("resnet.legacy");
    let prepared = folder.file("prepared.onnx");
    let output = whycam(&["prepare", &model, "-o", &prepared]);
    assert!(output.status.success(), "{}", stderr(&output));
    let ask = |model: &str| {
        let scores = ScoreQuery::parse_list("top3").unwrap();
        let builder = builder(model).scores(scores).method(cam::find("layer-cam").unwrap());
        builder.build().unwrap().explain(&photo()).unwrap()
    };
    let (direct, taken) = (ask(&model), ask(&prepared));
    assert_near(&taken.map.values, &direct.map.values, "the first");
    assert_eq!(classes(&taken).others.len(), 2);
    for (taken, direct) in classes(&taken).others.iter().zip(&classes(&direct).others) {
        assert_eq!(taken.class_index, direct.class_index);
        assert_near(&taken.map.values, &direct.map.values, "another");
    }
}

#[test]
fn a_contrast_is_the_map_of_the_difference_of_two_gradients() {
    for model in [net("mobilenet3.legacy"), net("vit_mean.dynamo"), "flowers-vgg".into()] {
        let mut options = ModelOptions::default();
        options.model = model.as_str().into();
        let augmented = model::augmented(&options, &Request::default(), false, &mut None).unwrap();
        let mut session = Session::new(&augmented.model, Compute::on_threads(1)).unwrap();
        let shape = augmented.manifest.input.shape();
        let input = ndarray::ArrayD::from_shape_fn(shape, |at| ((at[1] + 3 * at[2] + 7 * at[3]) % 11) as f32 / 11.0);
        let mut gradient = |class: i64| {
            let class = ndarray::Array1::from_elem(1, class).into_dyn();
            let inputs =
                vec![(augmented.input.as_str(), Input::Float(input.view())), (CLASS_INDEX, Input::Int64(class.view()))];
            let run = session.run(inputs).unwrap();
            let owned = |name| run.floats(name).unwrap().to_owned().into_dimensionality::<Ix4>().unwrap();
            (owned(ACTIVATIONS), owned(GRADIENTS))
        };
        let ((activations, of_a), (_, of_b)) = (gradient(2), gradient(4));
        let difference = of_a - of_b;
        for method in ["grad-cam", "layer-cam"] {
            let map = cam::find(method).unwrap().formula().unwrap();
            let signed = map(activations.index_axis(Axis(0), 0), difference.index_axis(Axis(0), 0));
            let expected = cam::rectified(signed);
            let scores = vec![ScoreQuery::parse_contrast("2,4").unwrap()];
            let builder = builder(&model).scores(scores).method(cam::find(method).unwrap());
            let found = builder.build().unwrap().explain_tensor(input.view()).unwrap();
            assert_eq!(classes(&found).class_index, 2);
            assert_near(&found.map.values, &expected, &format!("{model}, {method}"));
        }
    }
    let wrong = |contrast: &str, method: &str| {
        let contrast = ScoreQuery::parse_contrast(contrast);
        let method = cam::find(method).unwrap();
        let built = contrast.and_then(|contrast| builder("flowers-vgg").scores(vec![contrast]).method(method).build());
        built.err().unwrap().to_string()
    };
    assert!(wrong("roses", "grad-cam").contains("A,B"));
    assert!(wrong("roses,roses", "grad-cam").contains("two different classes"));
    assert!(wrong("roses,oaks", "grad-cam").contains("oaks"));
    assert!(wrong("roses,tulips", "eigen-cam").contains("eigen-cam"));
}

#[test]
fn maps_of_several_layers_are_fused_at_the_finest_grid() {
    let model = net("resnet.legacy");
    let layers = ["/layer1/layer1.0/relu_1/Relu_output_0", "/layer4/layer4.0/relu_1/Relu_output_0"];
    let map = |layer: &str, fusion: Fusion| {
        let builder = builder(&model).layers(LayerName::parse_list(layer)).fusion(fusion);
        let mut explainer = builder.method(cam::find("hires-cam").unwrap()).build().unwrap();
        assert_eq!(explainer.context().layer, layer);
        explainer.explain(&photo()).unwrap().map.values
    };
    let placed = |layer: &str, from: f64, over: f64| {
        let map = CamMap::new(map(layer, Fusion::Max));
        let crop = MapCrop { from: [from; 2], over: [over; 2], height: 16, width: 16 };
        crop_map((&map.values / map.max).view(), &crop).unwrap()
    };
    // Each cell of the late map looks at the first of the 8x8 early ones, whose middle lies 3.5 of them before its own.
    let singles = [placed(layers[0], 0.0, 16.0), placed(layers[1], 3.5 / 8.0, 2.0)];
    let mut highest = singles[0].clone();
    Zip::from(&mut highest).and(&singles[1]).for_each(|a, &b| *a = a.max(b));
    let both = layers.join(",");
    assert_near(&map(&both, Fusion::Max), &highest, "max");
    assert_near(&map(&both, Fusion::Mean), &((&singles[0] + &singles[1]) / 2.0), "mean");
    let folder = Folder::new("fusion");
    let photo = picture(&folder, "photo.png", 64, 64);
    let refused = whycam(&["explain", &photo, "--model", &model, "--layer", &both, "--method", "eigen-cam"]);
    assert_eq!(refused.status.code(), Some(2), "{}", stderr(&refused));
    assert!(stderr(&refused).contains("eigen-cam does not fuse"), "{}", stderr(&refused));
}

#[test]
fn layers_of_a_net_with_padding_nodes_are_fused_in_any_order() {
    let layers = ["/_swish_1/Clip_output_0", "/_blocks.4/_swish/Clip_output_0", "/_blocks.7/_swish/Clip_output_0"];
    let map = |order: [usize; 3]| {
        let names = order.map(|index| LayerName::from(layers[index])).to_vec();
        builder("flowers").layers(names).build().unwrap().explain(&photo()).unwrap().map.values
    };
    let expected = map([0, 1, 2]);
    for order in [[0, 2, 1], [1, 0, 2], [2, 1, 0]] {
        assert_eq!(map(order), expected, "{order:?}");
    }
}

#[test]
fn hot_boxes_hold_the_hot_regions() {
    let mut values = Array2::zeros((8, 8));
    values[[1, 1]] = 1.0;
    values[[6, 5]] = 0.8;
    values[[6, 6]] = 0.8;
    let region = Region { x: 100.0, y: 0.0, width: 400.0, height: 400.0 };
    let boxes = hot_boxes(&CamMap::new(values.clone()), &region, 0.5, (600, 400)).unwrap();
    assert_eq!(boxes.len(), 2);
    let holds = |found: &whycam::sink::HotBox, x: u32, y: u32| {
        (found.x..found.x + found.width).contains(&x) && (found.y..found.y + found.height).contains(&y)
    };
    assert!(holds(&boxes[0], 175, 75) && boxes[0].width <= 50, "{boxes:?}");
    assert!(holds(&boxes[1], 400, 325) && boxes[1].width > boxes[1].height, "{boxes:?}");
    assert!((boxes[0].peak - 1.0).abs() < 0.01 && boxes[1].mass > boxes[0].mass, "{boxes:?}");
    assert_eq!(hot_boxes(&CamMap::new(Array2::zeros((3, 3))), &region, 0.5, (600, 400)).unwrap(), []);
}

#[test]
fn json_and_maps_have_several_classes_and_boxes() {
    let folder = Folder::new("several");
    let photo = picture(&folder, "photo.png", 200, 160);
    let maps = folder.file("maps");
    let arguments = [
        "explain",
        &photo,
        "--class",
        "roses,top",
        "--json",
        "-",
        "--maps",
        &maps,
        "--boxes",
        "0.5",
        "--method",
        "layer-cam",
    ];
    let output = whycam(&arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    let line: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(line["label"], "roses");
    assert_eq!(line["others"][0]["label"], line["top"][0]["label"]);
    for (file, max) in
        [(&line["map_file"], &line["map"]["max"]), (&line["others"][0]["map_file"], &line["others"][0]["map"]["max"])]
    {
        let map: Array2<f32> = ndarray_npy::read_npy(Path::new(&maps).join(file.as_str().unwrap())).unwrap();
        let largest = map.iter().copied().fold(0.0, f32::max);
        assert!((f64::from(largest) - max.as_f64().unwrap()).abs() <= 1e-6 * f64::from(largest));
    }
    for found in line["boxes"].as_array().unwrap() {
        let side = |name: &str| found[name].as_u64().unwrap();
        assert!(side("x") + side("width") <= 200 && side("y") + side("height") <= 160, "{found}");
    }

    let again = |format: &str| {
        let output =
            whycam(&["explain", &photo, "--maps", &maps, "--maps-as", format, "--method", "layer-cam", "--json", "-"]);
        assert!(output.status.success(), "{}", stderr(&output));
        serde_json::from_str::<Value>(&stdout(&output)).unwrap()
    };
    let line = again("png");
    let grey = image::open(Path::new(&maps).join(line["map_file"].as_str().unwrap())).unwrap();
    let grey = grey.as_luma16().expect("16 bits");
    assert_eq!(grey.iter().max(), Some(&u16::MAX));
    assert_eq!(again("npz")["map_file"], "maps.npz/000000");
    let mut archive = ndarray_npy::NpzReader::new(fs::File::open(Path::new(&maps).join("maps.npz")).unwrap()).unwrap();
    let map: Array2<f32> = archive.by_name("000000").unwrap();
    assert_eq!(map.dim(), (grey.height() as usize, grey.width() as usize));
}

/// The sum of the differences of all pixels.
fn moved(before: &image::RgbImage, after: &image::RgbImage) -> u64 {
    before.iter().zip(after.iter()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum()
}

/// The value of a map at a pixel, bilinear between the middles of its cells, which cover a region of the picture.
fn value_at(map: &Array2<f32>, region: &Value, x: f64, y: f64) -> f32 {
    let along = |at: f64, from: &str, over: &str, cells: usize| {
        let side = |name: &str| region[name].as_f64().unwrap();
        let cell = ((at + 0.5 - side(from)) / side(over) * cells as f64 - 0.5).clamp(0.0, cells as f64 - 1.0);
        (cell.floor() as usize, (cell.ceil() as usize).min(cells - 1), (cell - cell.floor()) as f32)
    };
    let (top, bottom, down) = along(y, "y", "height", map.nrows());
    let (left, right, across) = along(x, "x", "width", map.ncols());
    let row = |row: usize| map[[row, left]] * (1.0 - across) + map[[row, right]] * across;
    row(top) * (1.0 - down) + row(bottom) * down
}

#[test]
fn a_map_of_the_size_of_the_picture_lies_where_its_region_says() {
    let folder = Folder::new("map-size");
    let photo = picture(&folder, "photo.png", 120, 80);
    let written = |folder: &Folder, size: &str| {
        let maps = folder.file(size);
        let output =
            whycam(&["explain", &photo, "--class", "0", "--maps", &maps, "--map-size", size, "--json", "-", "--quiet"]);
        let map: Array2<f32> = ndarray_npy::read_npy(format!("{maps}/000000.npy")).unwrap();
        (map, serde_json::from_str::<Value>(&stdout(&output)).unwrap())
    };
    let ((cells, line), (whole, _)) = (written(&folder, "cells"), written(&folder, "picture"));
    assert_eq!(whole.dim(), (80, 120));
    let largest = cells.iter().copied().fold(0.0, f32::max);
    assert!(largest > 0.0);
    for ((y, x), value) in whole.indexed_iter() {
        let expected = value_at(&cells, &line["map"]["region"], x as f64, y as f64);
        assert!((value - expected).abs() < 0.02 * largest, "{value} at {x},{y} for {expected}, largest {largest}");
    }
}

#[test]
fn a_signed_map_keeps_what_speaks_against_the_class() {
    let folder = Folder::new("signed");
    let photo = picture(&folder, "photo.png", 64, 64);
    for method in ["grad-cam", "hires-cam"] {
        let written = |extra: &[&str]| {
            let maps = folder.file(&format!("{method}{}", extra.len()));
            let explain = ["explain", &photo, "--method", method, "--class", "2", "--maps", &maps, "--json", "-"];
            let output = whycam(&[&explain[..], &["--quiet"], extra].concat());
            let map: Array2<f32> = ndarray_npy::read_npy(format!("{maps}/000000.npy")).unwrap();
            (map, serde_json::from_str::<Value>(&stdout(&output)).unwrap())
        };
        let ((map, line), (signed, signed_line)) = (written(&[]), written(&["--signed"]));
        let (all, negative) = (signed.mapv(f32::abs).sum(), -signed.mapv(|v| v.min(0.0)).sum());
        assert!(negative > 0.0, "{method}: nothing speaks against it");
        assert!(signed.iter().zip(&map).all(|(signed, map)| (signed.max(0.0) - map).abs() < 1e-5 * all), "{method}");
        for line in [&line, &signed_line] {
            let against = line["map"]["against"].as_f64().unwrap() as f32;
            assert!((against - negative / all).abs() < 1e-4, "{method}: {against} for {}", negative / all);
        }
    }
    support::assert_fails(&["explain", &photo, "--signed", "--method", "layer-cam"], 2, &["signed", "grad-cam"]);
}

#[test]
fn the_product_of_two_layers_shows_what_both_show() {
    let maps = || vec![ndarray::array![[4.0, 0.0]], ndarray::array![[1.0, 2.0, 0.0, 2.0]]];
    let product = |column: f64| {
        let part = |layer: usize, _| if layer == 0 { [[0.0, column], [1.0, 2.0]] } else { [[0.0, 0.0], [1.0, 4.0]] };
        cam::fused(maps(), part, Fusion::Product, None).unwrap()
    };
    // The coarse map, enlarged between the middles of its cells: 1, 0.75, 0.25, 0.
    assert_eq!(product(0.0), ndarray::array![[0.5, 0.75, 0.0, 0.0]]);
    // The same where its cells look half a cell, one of the fine map's, further to the right: 1, 1, 0.75, 0.25.
    assert_eq!(product(-0.5), ndarray::array![[0.5, 1.0, 0.0, 0.25]]);
}

#[test]
fn a_film_wide_scale_leaves_frames_of_little_evidence_cool() {
    use whycam::overlay::{Blend, Colormap, HeatScale, Overlay, Style};
    use whycam::plumbing::{Frame, Medium, MediumKind, Time, TimeBase};
    let mut explainer = builder("flowers-vgg").method(cam::find("layer-cam").unwrap()).build().unwrap();
    let picture = photo();
    let explanation = explainer.explain(&picture).unwrap();
    let context = explainer.context().clone();
    assert_eq!(context.unit, "logit");
    let medium = Medium {
        name: "film".into(),
        path: None,
        address: None,
        kind: MediumKind::Still,
        width: 90,
        height: 70,
        time_base: TimeBase::MICROSECONDS,
    };
    let medium = std::sync::Arc::new(medium);
    let draw = |scale: HeatScale, bar: bool| {
        let style = Style { colormap: Colormap::named("inferno").unwrap(), blend: Blend::Even, alpha: 1.0, scale, bar };
        let mut frame = Frame::now(&medium, 0, Time::START, picture.clone());
        Overlay::new(style).unwrap().draw(&mut frame, &explanation, &context).unwrap();
        frame.picture
    };
    let light = |picture: &image::RgbImage| picture.iter().map(|v| u64::from(*v)).sum::<u64>();
    let own = draw(HeatScale::Frame, false);
    let film = |top: f32| draw(HeatScale::Film([("film".into(), top)].into()), false);
    assert_eq!(own, film(explanation.map.max));
    // Inferno is black where it is cold.
    assert!(light(&film(20.0 * explanation.map.max)) * 2 < light(&own));
    let whole = explanation.map.max * explanation.map.values.len() as f32;
    assert_eq!(own, draw(HeatScale::Whole(whole), false));
    let barred = draw(HeatScale::Frame, true);
    assert!(moved(&own, &barred) > 0);
    // The bar goes from hot above to cold below.
    let bright = |y: u32| barred.get_pixel(83, y).0.iter().map(|v| u32::from(*v)).sum::<u32>();
    assert!(bright(25) > bright(35) && bright(35) > bright(45), "{} {} {}", bright(25), bright(35), bright(45));
}

#[test]
fn a_film_is_explained_at_one_scale() {
    let folder = Folder::new("scale");
    let film = folder.file("film.mp4");
    support::tool(
        "ffmpeg",
        &["-v", "error", "-f", "lavfi", "-i", "testsrc2=size=160x120:rate=10:duration=1", "-pix_fmt", "yuv420p", &film],
    );
    let out = folder.file("out.mp4");
    let output = whycam(&["explain", &film, "-o", &out, "--scale", "film", "--bar", "--method", "layer-cam"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(stderr(&output).matches("explained 10").count(), 1, "{}", stderr(&output));
    let refused = whycam(&["explain", "rtsp://127.0.0.1:1/none", "-o", &out, "--scale", "film", "--force"]);
    assert_eq!(refused.status.code(), Some(2), "{}", stderr(&refused));
}

#[test]
fn every_method_is_listed_with_its_cost() {
    let listed = stdout(&whycam(&["methods"]));
    assert_eq!(listed.lines().count(), 1 + cam::METHODS.len());
    for method in cam::METHODS {
        assert!(listed.contains(method.name) && listed.contains(method.cost) && listed.contains(method.good_for));
    }
    let folder = Folder::new("method");
    let photo = picture(&folder, "photo.png", 64, 64);
    let output = whycam(&["explain", &photo, "--method", "gradcam"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("smooth-grad-cam++"), "{}", stderr(&output));
}

#[test]
fn an_augmented_model_explains_one_layer() {
    let folder = Folder::new("augmented-layers");
    let out = folder.file("two.onnx");
    let output = whycam(&["prepare", "flowers", "--layer", "/_conv_stem/Conv_output_0,-1", "-o", &out]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("one layer") && !Path::new(&out).exists(), "{}", stderr(&output));
}
