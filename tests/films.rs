//! Films and GIFs keep their frames, times, size and sound.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use crate::support::{
    Folder, assert_fails, assert_ok, command, complete_lines, data_file, film, frame_times, json_lines, stderr, stdout,
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
    assert_eq!(kept, delays);
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
fn sound_that_a_film_format_cannot_hold_is_left_out_with_a_notice() {
    let folder = Folder::new("sound");
    let input = film(&folder, "in.mp4", &[]);
    let output = folder.file("out.webm");
    let run = whycam(&["explain", &input, "-o", &output]);
    assert_ok(&run);
    let told = "its sound track 1 (aac) is left out: webm cannot hold it";
    assert!(stderr(&run).contains(told), "{}", stderr(&run));
    assert_same_times(&input, &output);
    assert_eq!(streams(&output)["streams"].as_array().unwrap().len(), 1);
    assert_fails(&["explain", &input, "-o", &folder.file("out.png")], 1, &["out.png", "mp4"]);
}

#[test]
fn a_film_of_fields_is_told_from_one_of_pictures() {
    let folder = Folder::new("interlaced");
    for (name, codec) in [("in.mp4", "libx264"), ("in.mpg", "mpeg2video")] {
        let few = ["-frames:v", "5", "-an", "-c:v", codec];
        let fields = film(&folder, name, &[&few[..], &["-vf", "interlace", "-flags", "+ilme+ildct"]].concat());
        for (input, interlaced) in [(fields, true), (film(&folder, &format!("whole.{name}"), &few), false)] {
            let run = whycam(&["explain", &input, "--json", "-"]);
            assert_ok(&run);
            assert_eq!(stderr(&run).contains("it is interlaced"), interlaced, "{input}: {}", stderr(&run));
        }
    }
}
