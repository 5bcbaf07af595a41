//! Tells the sources apart that FFmpeg's versions need.

fn main() {
    println!("cargo::rerun-if-changed=src/build.rs");
    println!("cargo::rustc-check-cfg=cfg(ffmpeg_8)");
    // From ffmpeg-sys-the-third, which has read FFmpeg's headers.
    if std::env::var_os("DEP_FFMPEG_FFMPEG_8_0").is_some() {
        println!("cargo::rustc-cfg=ffmpeg_8");
    }
}
