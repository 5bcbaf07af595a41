//! The program as a user runs it: real films and a real runtime.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fs;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use support::{
    Folder, assert_ok, command, complete_lines, data_file, film, frame_times, json_lines, picture, stderr, stdout,
    tool, wait_until, whycam,
};

fn streams(path: &str) -> Value {
    let text = tool("ffprobe", &["-v", "error", "-count_packets", "-show_streams", "-of", "json", path]);
    serde_json::from_str(&text).unwrap()
}

fn stream(path: &str, kind: &str) -> Value {
    let all = streams(path);
    let found = all["streams"].as_array().unwrap().iter().find(|s| s["codec_type"] == kind);
    found.unwrap_or_else(|| panic!("{path} has no {kind}")).clone()
}

fn assert_same_times(input: &str, output: &str) {
    let (before, after) = (frame_times(input), frame_times(output));
    assert_eq!(before.len(), after.len(), "frame count");
    for (index, (a, b)) in before.iter().zip(&after).enumerate() {
        assert!((a - b).abs() < 1e-5, "frame {index}: {a} became {b}");
    }
}

/// The given status, and a line with all these words.
fn assert_fails(arguments: &[&str], status: i32, words: &[&str]) {
    let output = whycam(arguments);
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(status), "{arguments:?}: {text}");
    let line = text.lines().find(|line| words.iter().all(|word| line.contains(word)));
    assert!(line.is_some(), "{arguments:?}: no line has all of {words:?}: {text}");
    assert!(!text.contains("panicked") && !text.contains("stack backtrace"), "{text}");
}

#[test]
fn a_film_keeps_its_frames_times_size_and_sound() {
    let folder = Folder::new("film");
    for name in ["in.mp4", "in.mkv"] {
        let input = film(&folder, name, &[]);
        let output = folder.file(&format!("out-{name}"));
        assert_ok(&whycam(&["explain", &input, "-o", &output]));
        assert_same_times(&input, &output);
        let (before, after) = (stream(&input, "video"), stream(&output, "video"));
        for key in ["width", "height", "avg_frame_rate"] {
            assert_eq!(before[key], after[key], "{name}: {key}");
        }
        let (before, after) = (stream(&input, "audio"), stream(&output, "audio"));
        for key in ["codec_name", "sample_rate", "nb_read_packets"] {
            assert_eq!(before[key], after[key], "{name}: {key}");
        }
    }
}

mod needs_data {
    use super::*;

    #[test]
    #[ignore = "set WHYCAM_TEST_DATA to a folder with clips/, and run make test"]
    fn real_clips_keep_their_frames_times_and_sound() {
        let folder = Folder::new("clip");
        for name in ["flower.mp4", "flower.webm"] {
            let clip = data_file(&format!("clips/{name}"));
            let (clip, output) = (clip.display().to_string(), folder.file(name));
            let run = whycam(&["explain", &clip, "-o", &output, "--json", "-"]);
            assert_ok(&run);
            assert_eq!(frame_times(&output).len(), 150);
            assert_same_times(&clip, &output);
            assert_eq!(stream(&clip, "audio")["nb_read_packets"], stream(&output, "audio")["nb_read_packets"]);
            for (line, time) in json_lines(&stdout(&run)).iter().zip(frame_times(&clip)) {
                let pts_us = line["pts_us"].as_f64().unwrap();
                assert!((pts_us - time * 1e6).abs() <= 1.0, "{name}: {pts_us} us at {time} s");
            }
        }
    }
}

#[test]
fn a_film_of_variable_frame_rate_keeps_its_times() {
    let folder = Folder::new("vfr");
    let input = film(&folder, "vfr.mp4", &["-vf", "select='not(mod(n,3))+lt(n,20)'", "-fps_mode", "vfr"]);
    let times = frame_times(&input);
    assert!(times[1] - times[0] < 0.05 && times[times.len() - 1] - times[times.len() - 2] > 0.1, "{times:?}");
    let output = folder.file("out.mp4");
    assert_ok(&whycam(&["explain", &input, "-o", &output]));
    assert_same_times(&input, &output);
}

#[test]
fn a_rotated_film_is_explained_and_shown_upright() {
    let folder = Folder::new("rotated");
    let plain = film(&folder, "plain.mp4", &["-frames:v", "10"]);
    let [left, right] = ["90", "270"].map(|degrees| rotated_film(&folder, &plain, degrees));
    assert!(rotation(&plain).is_none() && rotation(&left) != rotation(&right), "the films are not rotated");
    assert_upright(&folder, &left, "left");
    assert_upright(&folder, &right, "right");
}

/// How a player is to rotate a film, in degrees.
fn rotation(path: &str) -> Option<i64> {
    let video = stream(path, "video");
    video["side_data_list"].as_array()?.iter().find_map(|data| data["rotation"].as_i64())
}

/// The same film, with the wish that players rotate it. FFmpeg 6 has an option for this, and FFmpeg 7 no longer has the
/// older way.
fn rotated_film(folder: &Folder, plain: &str, degrees: &str) -> String {
    let path = folder.file(&format!("rotated-{degrees}.mp4"));
    let metadata = format!("rotate={degrees}");
    let has_option = tool("ffmpeg", &["-v", "quiet", "-h", "full"]).contains("-display_rotation");
    let mut copy = vec!["-v", "error", "-y"];
    copy.extend(if has_option { vec!["-display_rotation", degrees] } else { vec![] });
    copy.extend(["-i", plain, "-c", "copy"]);
    copy.extend(if has_option { vec![] } else { vec!["-metadata:s:v", &metadata] });
    copy.push(&path);
    tool("ffmpeg", &copy);
    let rotated = rotation(&path);
    assert!(rotated.is_some_and(|degrees| degrees.abs() == 90), "{path} has the rotation {rotated:?}");
    path
}

fn assert_upright(folder: &Folder, input: &str, name: &str) {
    let output = folder.file(&format!("out-{name}.mp4"));
    let lines = whycam(&["explain", input, "-o", &output, "--json", "-", "--alpha", "0"]);
    assert_ok(&lines);
    let first = &json_lines(&stdout(&lines))[0];
    assert_eq!((first["width"].as_u64(), first["height"].as_u64()), (Some(240), Some(320)));
    for key in ["width", "height", "sample_aspect_ratio"] {
        assert_eq!(stream(input, "video")[key], stream(&output, "video")[key], "{key}");
    }
    assert_eq!(rotation(input), rotation(&output));
    let matroska = folder.file(&format!("out-{name}.mkv"));
    assert_ok(&whycam(&["explain", input, "-o", &matroska]));
    assert_eq!(stream(&matroska, "video")["width"], 240, "a format without rotation is written upright");
    // FFmpeg rotates both; except for the caption they must look the same.
    let first_frame = |path: &str, png: &str| {
        let png = folder.file(png);
        tool("ffmpeg", &["-v", "error", "-y", "-i", path, "-frames:v", "1", &png]);
        image::open(&png).unwrap().to_rgb8()
    };
    let (before, after) = (first_frame(input, "before.png"), first_frame(&output, "after.png"));
    assert_eq!(before.dimensions(), after.dimensions());
    let rows = 3 * 240 * 280;
    let difference: u64 =
        before.as_raw()[..rows].iter().zip(&after.as_raw()[..rows]).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    assert!(difference / (rows as u64) < 8, "mean difference {}", difference / rows as u64);
}

#[test]
fn json_lines_and_maps_are_as_the_contract_says() {
    let folder = Folder::new("json");
    let input = film(&folder, "in.mp4", &["-frames:v", "5"]);
    let maps = folder.file("maps");
    let output = whycam(&["explain", &input, "--json", "-", "--maps", &maps]);
    assert_ok(&output);
    let lines = json_lines(&stdout(&output));
    assert_eq!(lines.len(), 5);
    for (index, line) in lines.iter().enumerate() {
        assert_eq!(line["frame"], index);
        assert_eq!(line["pts_us"], index * 40_000);
        assert_eq!(line["input"], input);
        assert_eq!((&line["width"], &line["height"]), (&320.into(), &240.into()));
        assert_eq!(line["map_file"], format!("{index:06}.npy"));
        assert_eq!((line["model"].as_str(), line["method"].as_str()), (Some("flowers"), Some("grad-cam")));
        let top = line["top"].as_array().unwrap();
        let sum: f64 = top.iter().map(|class| class["probability"].as_f64().unwrap()).sum();
        assert!((sum - 1.0).abs() < 1e-4, "the five classes sum to {sum}");
        assert_eq!((&top[0]["class_index"], &top[0]["label"]), (&line["class_index"], &line["label"]));
        assert!(line["logit"].is_f64() && line["layer"].is_string());
        let map: ndarray::Array2<f32> =
            ndarray_npy::read_npy(Path::new(&maps).join(format!("{index:06}.npy"))).unwrap();
        assert_eq!(
            [map.nrows(), map.ncols()].map(Value::from),
            [line["map"]["height"].clone(), line["map"]["width"].clone()]
        );
        let max = f64::from(map.iter().copied().fold(0.0, f32::max));
        assert!((max - line["map"]["max"].as_f64().unwrap()).abs() < 1e-6);
        assert_eq!(line["map"]["evidence"], max > 0.0);
    }
    assert!(!Path::new(&folder.file("in.whycam.mp4")).exists(), "--json alone writes no pictures");
}

#[test]
fn a_picture_gets_its_explanation_beside_it_and_nothing_is_overwritten() {
    let folder = Folder::new("picture");
    let input = picture(&folder, "tall.jpg", 120, 301);
    assert_ok(&whycam(&["explain", &input]));
    let result = folder.file("tall.whycam.png");
    assert_eq!(image::image_dimensions(&result).unwrap(), (120, 301));
    assert_fails(&["explain", &input], 1, &["tall.whycam.png", "--force"]);
    assert_ok(&whycam(&["explain", &input, "--force"]));
    let named = folder.file("named.png");
    assert_ok(&whycam(&["explain", &input, "-o", &named]));
    assert!(Path::new(&named).exists());
}

#[test]
fn a_broken_picture_in_a_folder_is_named_and_the_others_are_explained() {
    let folder = Folder::new("folder");
    fs::create_dir_all(folder.0.join("in/deep")).unwrap();
    for name in ["a.png", "c.png", "deep/a.png"] {
        picture(&folder, &format!("in/{name}"), 64, 48);
    }
    fs::write(folder.0.join("in/b.png"), "no picture").unwrap();
    let output = whycam(&["explain", &folder.file("in"), "-o", &folder.file("out/"), "--json", "-"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("b.png"), "{}", stderr(&output));
    assert_eq!(json_lines(&stdout(&output)).len(), 3);
    for name in ["out/a.whycam.png", "out/c.whycam.png", "out/deep/a.whycam.png"] {
        assert!(Path::new(&folder.file(name)).exists(), "{name}");
    }
}

#[test]
fn a_gif_keeps_its_pictures_and_their_delays() {
    use image::AnimationDecoder;
    use image::codecs::gif::{GifDecoder, GifEncoder};
    let folder = Folder::new("gif");
    let input = folder.file("in.gif");
    let mut encoder = GifEncoder::new(fs::File::create(&input).unwrap());
    let delays = [100, 300, 50];
    for (shade, delay) in [40, 120, 200].into_iter().zip(delays) {
        let picture = image::RgbaImage::from_pixel(80, 60, image::Rgba([shade, 90, 30, 255]));
        let delay = image::Delay::from_numer_denom_ms(delay, 1);
        encoder.encode_frame(image::Frame::from_parts(picture, 0, 0, delay)).unwrap();
    }
    drop(encoder);
    assert_ok(&whycam(&["explain", &input]));
    let result = fs::File::open(folder.file("in.whycam.gif")).unwrap();
    let decoder = GifDecoder::new(std::io::BufReader::new(result)).unwrap();
    let kept: Vec<u32> = decoder.into_frames().map(|f| f.unwrap().delay().numer_denom_ms().0).collect();
    // A delay is known from the next picture's time, so the last picture gets the delay before it.
    assert_eq!(kept, [100, 300, 300]);
}

#[test]
fn ctrl_c_in_the_middle_leaves_a_film_that_plays() {
    let folder = Folder::new("interrupt");
    let input = folder.file("long.mp4");
    let source = "testsrc2=size=640x480:rate=25:duration=120";
    tool("ffmpeg", &["-v", "error", "-f", "lavfi", "-i", source, "-preset", "ultrafast", &input]);
    let (output, json) = (folder.file("out.mp4"), folder.file("out.jsonl"));
    let mut child = command(&["explain", &input, "-o", &output, "--json", &json]);
    let mut child = child.stderr(Stdio::null()).spawn().unwrap();
    let part = |f: &Path| {
        fs::read_dir(f).unwrap().filter_map(Result::ok).any(|e| e.file_name().to_string_lossy().contains(".part."))
    };
    wait_until("some frames are written", || complete_lines(&json).len() >= 10);
    assert!(part(&folder.0), "the unfinished film has its final name");
    tool("sh", &["-c", &format!("kill -INT {}", child.id())]);
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(130));
    let frames = frame_times(&output).len();
    assert!((1..3000).contains(&frames), "{frames} frames");
    assert!(!part(&folder.0), "a temporary file is left");
}

#[test]
fn the_demo_writes_exactly_the_requested_frames() {
    let folder = Folder::new("demo");
    let output = folder.file("demo.mp4");
    let run = whycam(&["demo", "--headless", "--frames", "40", "--record", &output, "--json", "-"]);
    assert_ok(&run);
    assert_eq!(json_lines(&stdout(&run)).len(), 40);
    assert_eq!(frame_times(&output).len(), 40);
    assert!(stderr(&run).contains("explained 40"), "{}", stderr(&run));
}

#[test]
fn without_a_display_the_demo_names_the_film_that_it_writes() {
    let folder = Folder::new("nodisplay");
    let run = command(&["demo", "--frames", "5"]).current_dir(&folder.0).output().unwrap();
    assert_ok(&run);
    assert!(stderr(&run).contains("whycam-demo.mp4"), "{}", stderr(&run));
    assert_eq!(frame_times(&folder.file("whycam-demo.mp4")).len(), 5);
}

#[test]
fn bench_gives_figures_of_model_and_pipeline() {
    let folder = Folder::new("bench");
    let input = film(&folder, "in.mp4", &["-frames:v", "10"]);
    for arguments in [&["bench", "--frames", "5", "--json", "-"][..], &["bench", "--input", &input, "--json", "-"]] {
        let output = whycam(arguments);
        assert_ok(&output);
        let figures: Value = serde_json::from_slice(&output.stdout).unwrap();
        for key in ["forward_ms", "explained_ms", "pipeline_fps", "bound_fps", "encoded_fps"] {
            assert!(figures[key].as_f64().is_some_and(|value| value > 0.0), "{key}: {figures}");
        }
        for stage in ["decode_ms", "preprocess_ms", "inference_ms", "map_ms", "overlay_ms", "encode_ms"] {
            assert!(figures["stages"][stage].as_f64().is_some_and(|value| value > 0.0), "{stage}: {figures}");
        }
    }
    assert!(stdout(&whycam(&["bench", "--frames", "3"])).contains("plain forward pass"));
}

#[test]
fn both_runtimes_give_the_same_numbers() {
    let folder = Folder::new("runtimes");
    let input = film(&folder, "in.mp4", &["-frames:v", "2"]);
    let vgg = "flowers-vgg";
    for (model, layer) in [("flowers", "-1"), (vgg, "-1"), (vgg, "/3/MaxPool"), (vgg, "/0/0.1/Conv")] {
        let run = |name: &str, library: Option<&str>| {
            let maps = folder.file(&format!("{name}{model}{}", layer.replace('/', "_")));
            let mut run =
                command(&["-v", "explain", &input, "--model", model, "--layer", layer, "--maps", &maps, "--json", "-"]);
            if let Some(library) = library {
                run.env("ORT_DYLIB_PATH", library);
            }
            let output = run.output().unwrap();
            assert_ok(&output);
            let map: ndarray::Array2<f32> = ndarray_npy::read_npy(Path::new(&maps).join("000001.npy")).unwrap();
            (stderr(&output), json_lines(&stdout(&output))[1].clone(), map)
        };
        let (fast_says, fast, fast_map) = run("onnxruntime", None);
        assert!(fast_says.contains("runtime ONNX Runtime"), "run `make setup`: {fast_says}");
        let (slow_says, slow, slow_map) = run("tract", Some("/nowhere/libonnxruntime.so"));
        assert!(slow_says.contains("runtime tract") && slow_says.contains("slower"), "{slow_says}");
        assert_eq!(fast["class_index"], slow["class_index"]);
        assert!((fast["logit"].as_f64().unwrap() - slow["logit"].as_f64().unwrap()).abs() < 1e-4);
        // If two numbers in a pool's window are almost equal, rounding decides which one gets the gradient.
        let largest = fast_map.iter().copied().fold(1e-12, f32::max);
        let apart = fast_map.iter().zip(&slow_map).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(apart < 5e-3 * largest, "layer {layer}: maps differ by {apart}, the largest value is {largest}");
    }
}

#[test]
fn errors_name_the_thing_and_the_remedy() {
    let folder = Folder::new("errors");
    fs::write(folder.0.join("text.mp4"), "Not a film, but a text of several words.\n".repeat(50)).unwrap();
    fs::write(folder.0.join("text.onnx"), "Not a model.").unwrap();
    fs::create_dir(folder.0.join("empty")).unwrap();
    let picture = picture(&folder, "a.png", 64, 48);
    let (text, model, empty) = (folder.file("text.mp4"), folder.file("text.onnx"), folder.file("empty"));
    let odd = folder.file("a.xyz");
    let nowhere = folder.file("no/such/a.png");

    assert_fails(&["explain", "/nowhere/a.mp4"], 1, &["/nowhere/a.mp4", "no such file"]);
    assert_fails(&["explain", &text], 1, &["text.mp4", "not a film"]);
    assert_fails(&["explain", &empty], 1, &["empty", "no pictures"]);
    assert_fails(&["explain", &picture, "--model", &model], 1, &["text.onnx", "not an ONNX model"]);
    assert_fails(&["explain", &picture, "--model", "roses"], 1, &["roses", "flowers-vgg"]);
    assert_fails(&["explain", &picture, "-o", &odd], 1, &["a.xyz", ".png"]);
    assert_fails(&["explain", &picture, "-o", &nowhere], 1, &["no/such", "no folder"]);
    assert_fails(&["explain", &picture, "--class", "oak"], 2, &["oak", "tulips"]);
    assert_fails(&["explain", &picture, "--layer", "nothing"], 2, &["nothing", "inspect"]);
    assert_fails(&["explain", &picture, "--layer", "Conv"], 2, &["Conv", "part of"]);
    assert_fails(&["explain", &picture, "--colormap", "grey"], 2, &["grey", "jet"]);
    assert_fails(&["explain", &picture, "--method", "cam"], 2, &["cam", "grad-cam"]);
    assert_fails(&["explain", &picture, "--alpha", "7"], 2, &["0 to 1"]);
    assert_fails(&["explain", &picture, &picture, "-o", &odd], 2, &["a.xyz", "one input", "folder"]);
    assert_fails(&["explain"], 2, &["<INPUT>"]);
    assert_fails(&["explain", &picture, "--device", "gpu"], 2, &["gpu", "cuda", "openvino"]);
    assert_fails(&["explain", &picture, "--device", "cuda"], 1, &["cuda", "onnxruntime-gpu", "ORT_DYLIB_PATH"]);
    assert_fails(&["explain", &picture, "--json", "/dev/full"], 1, &["/dev/full", "disk is full"]);
}

#[test]
fn encoder_and_quality_change_the_film() {
    let folder = Folder::new("encoder");
    let input = film(&folder, "in.mp4", &["-frames:v", "20"]);
    let [usual, small, other] = ["usual.mp4", "small.mp4", "other.mp4"].map(|name| folder.file(name));
    assert_ok(&whycam(&["explain", &input, "-o", &usual]));
    assert_ok(&whycam(&["explain", &input, "-o", &small, "--quality", "40"]));
    assert_ok(&whycam(&["explain", &input, "-o", &other, "--encoder", "mpeg4"]));
    let size = |path: &str| fs::metadata(path).unwrap().len();
    assert!(size(&small) < size(&usual) * 2 / 3, "{} and {} bytes", size(&small), size(&usual));
    assert_eq!(stream(&usual, "video")["codec_name"], "h264");
    assert_eq!(stream(&other, "video")["codec_name"], "mpeg4");
    assert_same_times(&input, &other);
    let nowhere = folder.file("no.mp4");
    assert_fails(&["explain", &input, "-o", &nowhere, "--encoder", "x"], 1, &["'x'", "ffmpeg -encoders"]);
    let quality = ["explain", &input, "-o", &nowhere, "--encoder", "mpeg4", "--quality", "3"];
    assert_fails(&quality, 1, &["quality", "libx264", "mpeg4"]);
    assert!(!Path::new(&nowhere).exists());
}

#[test]
fn one_thread_gives_the_same_film_as_many() {
    let folder = Folder::new("threads");
    let input = film(&folder, "in.mp4", &["-frames:v", "30"]);
    let [one, many] = ["one.jsonl", "many.jsonl"].map(|name| folder.file(name));
    assert_ok(&whycam(&["explain", &input, "--json", &one, "--threads", "1"]));
    assert_ok(&whycam(&["explain", &input, "--json", &many, "--threads", "5"]));
    assert_eq!(fs::read_to_string(one).unwrap(), fs::read_to_string(many).unwrap());
}

#[test]
fn a_trace_tells_what_the_threads_did() {
    let folder = Folder::new("trace");
    let (input, trace) = (film(&folder, "in.mp4", &["-frames:v", "5"]), folder.file("trace.json"));
    assert_ok(&whycam(&["explain", &input, "--json", "-", "--trace", &trace]));
    let events: Vec<Value> = serde_json::from_str(&fs::read_to_string(trace).unwrap()).unwrap();
    for stage in ["decode", "preprocess", "inference", "map", "write"] {
        assert!(events.iter().filter(|event| event["name"] == stage).count() >= 10, "{stage}");
    }
}

#[test]
fn a_film_format_that_cannot_hold_the_sound_is_refused_with_another() {
    let folder = Folder::new("sound");
    let input = film(&folder, "in.mp4", &[]);
    assert_fails(&["explain", &input, "-o", &folder.file("out.webm")], 1, &["out.webm", "sound", ".mkv"]);
    assert!(!Path::new(&folder.file("out.webm")).exists());
    assert_fails(&["explain", &input, "-o", &folder.file("out.png")], 1, &["out.png", "mp4"]);
}

#[test]
fn a_model_with_three_inputs_is_refused_by_their_names() {
    use whycam::onnx::proto::{Graph, Node, ValueInfo};
    use whycam::onnx::{DataType, OnnxModel, WORKING_OPSET};
    let folder = Folder::new("inputs");
    let picture = picture(&folder, "a.png", 64, 48);
    let names = ["left", "right", "depth"];
    let graph = Graph {
        node: vec![Node::new("Sum", "sum", &names, &["y"])],
        input: names.iter().map(|name| ValueInfo::tensor(name, DataType::Float, &[1, 3, 8, 8])).collect(),
        output: vec![ValueInfo::tensor("y", DataType::Float, &[1, 3, 8, 8])],
        ..Graph::default()
    };
    let path = folder.file("three.onnx");
    fs::write(&path, OnnxModel::from_graph("three", WORKING_OPSET, graph).to_bytes()).unwrap();
    assert_fails(&["explain", &picture, "--model", &path], 1, &["three.onnx", "3 inputs", "left, right, depth"]);
}

mod needs_no_camera {
    use super::*;

    #[test]
    #[ignore = "fails where there is a camera; make test runs it where there is none"]
    fn without_a_camera_the_demo_is_offered() {
        assert_fails(&[], 1, &["no camera", "whycam demo"]);
        assert_fails(&["live", "--headless"], 1, &["no camera", "whycam demo"]);
    }
}

#[test]
fn a_reader_that_closes_the_pipe_ends_the_run_without_an_error() {
    let folder = Folder::new("pipe");
    let input = film(&folder, "in.mp4", &[]);
    let mut child =
        command(&["explain", &input, "--json", "-"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn an_option_that_a_command_does_not_use_is_refused() {
    let folder = Folder::new("unused");
    let model = folder.file("x.onnx");
    assert_fails(&["models", "--alpha", "0.3"], 2, &["--alpha"]);
    assert_fails(&["--alpha", "0.3", "models"], 2, &["--alpha"]);
    assert_fails(&["prepare", "flowers", "-o", &model, "--class", "roses"], 2, &["--class"]);
    assert_fails(&["evaluate", &folder.file(""), "--contrast", "a,b"], 2, &["--contrast"]);
    assert!(!Path::new(&model).exists());
    for arguments in [["-q", "models"], ["models", "-q"]] {
        let models = whycam(&arguments);
        assert_ok(&models);
        assert!(stdout(&models).contains("flowers-vgg"), "{}", stdout(&models));
    }
}

#[test]
fn a_run_is_resumed_with_the_same_options_in_any_words_and_with_no_others() {
    let folder = Folder::new("resume");
    fs::create_dir(folder.0.join("photos")).unwrap();
    for name in ["a", "b"] {
        picture(&folder, &format!("photos/{name}.png"), 64, 48);
    }
    let [photos, json, maps] = ["photos", "out.jsonl", "maps"].map(|name| folder.file(name));
    let run = ["explain", &photos, "--json", &json, "--maps", &maps, "--resume"];
    assert_ok(&whycam(&run));
    let done = || json_strings(&folder.file("out.jsonl.done")).len();
    // The first line is about the options, and each other line about an input.
    assert_eq!((complete_lines(&json).len(), done()), (2, 3));
    picture(&folder, "photos/c.png", 64, 48);
    let defaults = ["--method", "grad-cam", "--class", "top", "--fuse", "max", "--maps-as", "npy", "--alpha", "0.4"];
    assert_ok(&whycam(&[&run[..], &defaults].concat()));
    assert_eq!((complete_lines(&json).len(), done()), (3, 4));
    let again = whycam(&run);
    assert_ok(&again);
    assert!(stderr(&again).contains("nothing is left to do"), "{}", stderr(&again));
    assert_fails(&[&run[..], &["--method", "layer-cam"]].concat(), 1, &["out.jsonl.done", "a run with other options"]);
    assert_eq!(done(), 4);
}

fn json_strings(path: &str) -> Vec<String> {
    fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
