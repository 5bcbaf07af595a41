//! The thread that encodes pictures for the page.

use std::sync::Arc;
use std::thread;

use hyper::body::Bytes;
use image::{RgbImage, imageops};
use jpeg_encoder::{ColorType, Encoder};

use super::feed::{Feed, Shown};
use crate::error::{Error, Result};
use crate::media::{Picture, scale_to_fit, scaled};
use crate::sync::channel::{self, Policy, Sender};

/// The size of pictures at most, in pixels. A window may show larger ones.
pub const SIZE: (u32, u32) = (1280, 960);
/// What separates the pictures of a live answer.
pub const BOUNDARY: &str = "whycam-picture";
/// Of 100. Text stays clear, and a picture of 640x480 takes about 50 kB.
const QUALITY: u8 = 80;

/// Starts the thread. It ends with the sender, and skips pictures that a newer one replaces.
///
/// # Errors
/// The system gives no thread.
pub fn start(feed: Arc<Feed>) -> Result<Sender<Picture>> {
    let (sender, pictures) = channel::channel::<Picture>(Policy::Newest, 1);
    let encode = move || {
        while let Some(picture) = pictures.receive() {
            let picture = fitted(picture);
            if let Some(part) = encoded(&picture) {
                feed.show(Shown { picture, part });
            }
        }
    };
    let failed = |e: std::io::Error| Error::runtime("thread page-pictures", &e).caused_by(e);
    thread::Builder::new().name("page-pictures".into()).spawn(encode).map_err(failed)?;
    Ok(sender)
}

/// The picture within [`SIZE`].
fn fitted(picture: Picture) -> Picture {
    let scale = scale_to_fit(picture.dimensions(), SIZE);
    if scale >= 1.0 {
        return picture;
    }
    let (width, height) = scaled(picture.dimensions(), scale);
    imageops::thumbnail(&*picture, width, height).into()
}

/// A picture as a part of a multipart answer, in JPEG.
fn encoded(picture: &RgbImage) -> Option<Bytes> {
    let mut jpeg = Vec::new();
    let (width, height) = (u16::try_from(picture.width()).ok()?, u16::try_from(picture.height()).ok()?);
    Encoder::new(&mut jpeg, QUALITY).encode(picture.as_raw(), width, height, ColorType::Rgb).ok()?;
    let head = format!("--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n", jpeg.len());
    Some([head.as_bytes(), &jpeg, b"\r\n"].concat().into())
}
