//! The same kinds as others met them: a folder with `media/` and `models/`, which `WHYCAM_TEST_CASES` names.

use std::path::{Path, PathBuf};

use super::models::look_at;
use super::{Trial, report};
use crate::support::{json_lines, stdout, whycam};

/// Pictures and films: how many frames of what size, to which time in milliseconds.
const MEDIA: &[(&str, &str)] = &[
    ("2024-08-20T13:28:35.mp4", "60 of 320x180, to 1967 ms"),
    ("a.avif", "1 of 192x128, to 0 ms"),
    ("a.ppm", "1 of 192x128, to 0 ms"),
    ("anim.webp", "4 of 192x128, to 300 ms"),
    ("apac.mov", "60 of 320x180, to 1967 ms"),
    ("clip.mjpeg", "20 of 320x180, to 760 ms"),
    ("exif_plain.webp", "1 of 128x192, to 0 ms"),
    ("exif_prefix.webp", "1 of 128x192, to 0 ms"),
    ("joined.ts", "180 of 320x180, to 5990 ms"),
    ("jump.ts", "120 of 320x180, to 3990 ms"),
    ("last.gif", "4 of 192x128, to 300 ms"),
    ("palette.tif", "1 of 192x128, to 0 ms"),
    ("pcm.avi", "60 of 320x180, to 1967 ms"),
    ("planar_tiles.tif", "1 of 40x40, to 0 ms"),
    ("raw.h264", "60 of 320x180, to 1967 ms"),
    ("turns.h264", "90 of 320x180, to 2967 ms"),
];

/// Model files: the head and the layer.
const MODELS: &[(&str, &str)] = &[
    ("boxes_before_scores", "z: 2 by softmax, layer r"),
    ("dynamic_quantised", "z: 4 by softmax, layer r"),
    ("float16_logits", "model.logits: 4 by softmax, layer r"),
    ("free_size_that_is_not_free", "y: 4 by softmax, layer r"),
    ("fused_conv", "z: 4 by softmax, layer r"),
    ("imagescaler", "z: 3 by softmax, layer r"),
    ("nchwc_plain", "z: 4 by sigmoid, layer r"),
    ("qdq_after_softmax", "z: 4 by softmax, layer r"),
    ("qdq_maxpool", "y: 4 by softmax, layer r"),
    ("qdq_saturated_logits", "z: 4 by softmax, layer r"),
    ("qoperator", "zq/MatMul: 4 by softmax, layer r"),
    ("ultralytics_classify", "z: 4 by softmax, layer r"),
    ("winml_metadata", "z: 4 by softmax, layer r"),
    ("zipmap", "z: 3 by softmax, layer r"),
];

fn cases() -> PathBuf {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/cases");
    let folder = std::env::var_os("WHYCAM_TEST_CASES").map_or(beside, PathBuf::from);
    folder.canonicalize().unwrap_or_else(|e| panic!("{}: {e}; WHYCAM_TEST_CASES names it", folder.display()))
}

fn frames_of(path: &Path) -> String {
    let lines = json_lines(&stdout(&whycam(&["explain", &path.display().to_string(), "--json", "-", "--quiet"])));
    let Some(last) = lines.last() else { return "none".into() };
    let milliseconds = (last["pts_us"].as_f64().unwrap() / 1000.0).round();
    format!("{} of {}x{}, to {milliseconds} ms", lines.len(), last["width"], last["height"])
}

mod needs_cases {
    use super::*;

    #[test]
    #[ignore = "set WHYCAM_TEST_CASES to a folder of inputs that failed, and run make test"]
    fn inputs_that_failed_are_explained() {
        let folder = cases();
        let media = MEDIA.iter().map(|(name, right)| Trial {
            case: name,
            right,
            got: frames_of(&folder.join("media").join(name)),
        });
        let models = MODELS.iter().map(|(name, right)| Trial {
            case: name,
            right,
            got: look_at(&folder.join(format!("models/{name}.onnx")).display().to_string()),
        });
        report("inputs that failed", &media.chain(models).collect::<Vec<_>>());
    }
}
