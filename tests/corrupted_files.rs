//! Damaged models, manifests, pictures, films and tensors: the program says what is wrong with them. It does not crash,
//! hang or take the machine's memory.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::support::{self, Folder, Random, film, net, picture, stderr, stdout, tool, whycam};

/// Address space and processor time of a run. A larger allocation or a hang ends it.
const LIMITS: [&str; 2] = ["--as=12884901888", "--cpu=60"];

fn whycam_within_limits(arguments: &[&str]) -> Output {
    let mut command = Command::new("prlimit");
    command.args(LIMITS).arg(env!("CARGO_BIN_EXE_whycam")).args(arguments).env_remove("DISPLAY");
    command.output().expect("prlimit starts")
}

/// What a bad disk, a broken download or an attacker does to a file.
fn damaged(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    let mut below = |end: usize| (f32::midpoint(random.next(), 1.0) * end as f32) as usize % end.max(1);
    let mut bytes = bytes.to_vec();
    let kind = below(6);
    // Half of the damages are in the header, where they do most harm.
    let reach = if below(2) == 0 { bytes.len().min(400) } else { bytes.len() };
    let at = below(reach);
    let length = (1 + below(64)).min(bytes.len() - at);
    match kind {
        0 => bytes.truncate(at),
        1 => bytes[at..at + length].fill(0),
        2 => bytes[at..at + length].fill(0xff),
        3 => (0..=(length / 8)).for_each(|_| {
            let at = below(reach);
            bytes[at] ^= 1 << below(8);
        }),
        4 => {
            let from = below(bytes.len() - length);
            let part = bytes[from..from + length].to_vec();
            bytes.splice(at..at, part);
        }
        _ => drop(bytes.drain(at..at + length)),
    }
    bytes
}

fn assert_no_harm(output: &Output, what: &str) {
    let said = stderr(output);
    assert!(matches!(output.status.code(), Some(0..=2)), "{what}: {:?}: {said}", output.status);
    assert!(!said.contains("panicked"), "{what}: {said}");
    assert!(output.status.success() || said.starts_with("whycam: "), "{what}: {said}");
}

fn damage(times: usize) {
    let folder = Folder::new("damage");
    let photo = picture(&folder, "whole.png", 64, 48);
    models(&folder, &photo, times);
    media(&folder, times);
}

/// One damage a run, on models with and without a manifest.
fn models(folder: &Folder, photo: &str, times: usize) {
    let manifest = b"name = \"net\"\nlabels = [\"a\", \"b\", \"c\", \"d\", \"e\"]\n[input]\nwidth = 64\nheight = 64\nscale = 0.00392\nmean = [0.4, 0.4, 0.4]\nstd = [0.2, 0.2, 0.2]\n";
    let mut random = Random(11);
    for (number, name) in ["resnet.legacy", "deit.dynamo", "mobilenet3.legacy"].iter().cycle().take(times).enumerate() {
        let bytes = fs::read(net(name)).unwrap();
        let (model, beside) = (folder.file("net.onnx"), folder.file("net.toml"));
        let _ = fs::remove_file(&beside);
        if number % 5 == 4 {
            fs::write(&model, &bytes).unwrap();
            fs::write(&beside, damaged(manifest, &mut random)).unwrap();
        } else {
            fs::write(&model, damaged(&bytes, &mut random)).unwrap();
        }
        let output = whycam_within_limits(&["explain", photo, "--model", &model, "--json", "-", "--quiet"]);
        assert_no_harm(&output, &format!("damage {number} of {name}"));
    }
}

/// Many damages in one run, which goes on after a file that cannot be read.
fn media(folder: &Folder, times: usize) {
    let still = |ending: &str| {
        let path = folder.file(&format!("whole.{ending}"));
        image::open(folder.file("whole.png")).unwrap().to_rgb8().save(&path).unwrap();
        path
    };
    let moving = |name: &str, extra: &[&str]| film(folder, name, &[&["-frames:v", "12"], extra].concat());
    let tensor = folder.file("whole.npy");
    ndarray_npy::write_npy(&tensor, &ndarray::Array3::<f32>::ones((3, 64, 64))).unwrap();
    let gif = folder.file("whole.gif");
    tool("ffmpeg", &["-v", "error", "-f", "lavfi", "-i", "testsrc2=size=64x48:rate=5:duration=1", &gif]);
    let wholes = [
        vec![folder.file("whole.png"), still("jpg"), still("tiff"), still("bmp"), still("webp"), gif],
        vec![moving("whole.mp4", &[]), moving("whole.webm", &[]), moving("whole.avi", &[]), moving("whole.ts", &[])],
        vec![tensor],
    ];
    let model = net("resnet.legacy");
    let mut random = Random(12);
    for kind in wholes {
        for round in 0..times.div_ceil(50) {
            let count = (times - 50 * round).min(50);
            let inputs: Vec<String> = (0..count)
                .map(|number| {
                    let whole = Path::new(&kind[number % kind.len()]);
                    let ending = whole.extension().unwrap().to_string_lossy();
                    let path = folder.file(&format!("damaged-{number}.{ending}"));
                    fs::write(&path, damaged(&fs::read(whole).unwrap(), &mut random)).unwrap();
                    path
                })
                .collect();
            let mut arguments = vec!["explain", "--model", &model, "--json", "-", "--quiet"];
            if whycam::source::is_tensor(&kind[0].as_str().into()) {
                arguments.push("--tensor");
            }
            arguments.extend(inputs.iter().map(String::as_str));
            let output = whycam_within_limits(&arguments);
            assert_no_harm(&output, &format!("round {round} of {kind:?}"));
        }
    }
}

#[test]
fn a_few_damages_do_no_harm() {
    damage(25);
}

mod long {
    #[test]
    #[ignore = "takes minutes; `make damage` runs it"]
    fn five_hundred_damages_of_each_kind_do_no_harm() {
        super::damage(500);
    }
}

/// A PNG whose header claims a size, with nothing in it.
fn claimed_png(width: u32, height: u32) -> Vec<u8> {
    let crc = |bytes: &[u8]| {
        !bytes.iter().fold(!0u32, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 })
        })
    };
    let chunk = |name: &[u8], data: &[u8]| {
        let named = [name, data].concat();
        [&(data.len() as u32).to_be_bytes()[..], &named, &crc(&named).to_be_bytes()].concat()
    };
    let size = [width.to_be_bytes(), height.to_be_bytes()].concat();
    let header = chunk(b"IHDR", &[&size[..], &[8, 2, 0, 0, 0]].concat());
    [&b"\x89PNG\r\n\x1a\n"[..], &header, &chunk(b"IDAT", &[]), &chunk(b"IEND", &[])].concat()
}

#[test]
fn sizes_that_a_file_claims_are_checked_before_memory_is_taken() {
    let folder = Folder::new("claims");
    let refused = |name: &str, bytes: &[u8], says: &[&str]| {
        let path = folder.file(name);
        fs::write(&path, bytes).unwrap();
        let tensor: &[&str] = if name.ends_with("npy") { &["--tensor"] } else { &[] };
        let output = whycam_within_limits(&[&["explain", &path, "--json", "-", "--quiet"], tensor].concat());
        assert_eq!(output.status.code(), Some(1), "{name}: {}", stderr(&output));
        let said = stderr(&output);
        assert!(says.iter().all(|part| said.contains(part)), "{name}: {said}");
    };
    refused("wide.png", &claimed_png(200_000, 200_000), &["wide.png", "200000x200000", "100 million"]);
    let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4000000000, 4000000000), }\n";
    let npy = [&b"\x93NUMPY\x01\x00"[..], &(header.len() as u16).to_le_bytes(), header.as_bytes()].concat();
    refused("claims.npy", &npy, &["claims.npy", "not a .npy file of numbers", "length from shape"]);
    let large = folder.file("large.avi");
    let black = "color=size=12000x9000:rate=1:duration=1";
    tool("ffmpeg", &["-v", "error", "-f", "lavfi", "-i", black, "-frames:v", "1", "-c:v", "mjpeg", &large]);
    refused("large.avi", &fs::read(&large).unwrap(), &["large.avi", "12000x9000", "100 million"]);
}

#[test]
fn a_damaged_film_is_measured_and_named() {
    let folder = Folder::new("damaged-film");
    fs::create_dir_all(folder.0.join("photos/roses")).unwrap();
    picture(&folder, "photos/roses/a.png", 32, 32);
    let film = film(&folder, "film.mp4", &["-c:v", "libx264"]);
    let measure = || {
        let sample = ["--sample", "0", "--grids", "0", "--film", &film, "--json", "-", "-q"];
        whycam(&[&["evaluate", &folder.file("photos"), "--model", "flowers-vgg"], sample.as_slice()].concat())
    };
    assert!(measure().status.success());
    let mut bytes = fs::read(&film).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 3000].fill(0);
    fs::write(&film, bytes).unwrap();
    let output = measure();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("film.mp4") && stderr(&output).contains("it is damaged"), "{}", stderr(&output));
    let line: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    let film = &line["methods"][0]["films"][0];
    assert!(film["frames"].as_u64().unwrap() > 20 && film["damaged"] == true, "{line}");
}

#[test]
fn text_of_a_model_does_not_control_the_terminal() {
    let folder = Folder::new("escapes");
    let photo = picture(&folder, "photo.png", 64, 64);
    let model = net("resnet.legacy");
    let labels = folder.file("labels.txt");
    fs::write(&labels, "\u{1b}[2Jrose\n\u{1b}]0;title\u{7}\nc\nd\ne\n").unwrap();
    for arguments in [&["explain", &photo, "--json", "-", "--class", "\u{1b}[31mred"][..], &["inspect"]] {
        let mut arguments = arguments.to_vec();
        arguments.insert(1, &model);
        if arguments[0] == "explain" {
            arguments.insert(1, "--model");
        }
        let output = support::whycam(&[&arguments[..], &["--labels", &labels]].concat());
        let said = [output.stdout.clone(), output.stderr.clone()].concat();
        assert!(!said.contains(&0x1b) && !said.contains(&7), "{}", String::from_utf8_lossy(&said));
    }
}

#[test]
fn weights_beside_a_model_stay_in_its_folder() {
    let folder = Folder::new("weights");
    let inner = folder.file("inner");
    fs::create_dir(&inner).unwrap();
    fs::write(folder.file("secret"), [0u8; 64]).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink(folder.file("secret"), format!("{inner}/link")).unwrap();
    let photo = picture(&folder, "photo.png", 16, 16);
    for location in ["../secret", "/etc/passwd", "link"] {
        use whycam::onnx::OnnxModel;
        use whycam::onnx::proto::{Graph, Node, StringStringEntry, Tensor, ValueInfo};
        let entry = StringStringEntry { key: Some("location".into()), value: Some(location.into()) };
        let mut weights = Tensor::from_f32s("w", &[4], &[]);
        (weights.raw_data, weights.data_location, weights.external_data) = (None, Some(1), vec![entry]);
        let graph = Graph {
            node: vec![Node::new("Add", "add", &["image", "w"], &["scores"])],
            initializer: vec![weights],
            input: vec![ValueInfo::tensor("image", whycam::onnx::DataType::Float, &[1, 3, 4, 4])],
            output: vec![ValueInfo::untyped("scores")],
            ..Graph::default()
        };
        let model = format!("{inner}/net.onnx");
        fs::write(&model, OnnxModel::from_graph("net", 18, graph).to_bytes()).unwrap();
        let output = support::whycam(&["explain", &photo, "--model", &model, "--json", "-"]);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains("outside its folder"), "{location}: {}", stderr(&output));
    }
}
