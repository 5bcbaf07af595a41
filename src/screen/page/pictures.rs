//! The thread that encodes pictures for the page.

use std::sync::Arc;
use std::thread;

use hyper::body::Bytes;
use image::RgbImage;
use jpeg_encoder::{ColorType, Encoder};

use super::feed::Feed;
use crate::error::{Error, Result};
use crate::media::Picture;
use crate::sync::channel::{self, Policy, Sender};

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
            if let Some(jpeg) = encoded(&picture) {
                feed.jpeg.send_replace(jpeg);
                feed.set_picture(picture);
            }
        }
    };
    let failed = |e: std::io::Error| Error::runtime("thread page-pictures", &e).caused_by(e);
    thread::Builder::new().name("page-pictures".into()).spawn(encode).map_err(failed)?;
    Ok(sender)
}

/// A picture as JPEG; `None` for one with more than 65,535 pixels to a side.
fn encoded(picture: &RgbImage) -> Option<Bytes> {
    let mut jpeg = Vec::new();
    let (width, height) = (u16::try_from(picture.width()).ok()?, u16::try_from(picture.height()).ok()?);
    Encoder::new(&mut jpeg, QUALITY).encode(picture.as_raw(), width, height, ColorType::Rgb).ok()?;
    Some(jpeg.into())
}
