//! Pictures whose memory returns to a pool when they are dropped.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

use image::RgbImage;

/// Memory of dropped pictures, for reuse.
#[derive(Clone, Debug, Default)]
pub struct Pool(Arc<Mutex<Vec<Vec<u8>>>>);

impl Pool {
    /// More than a pipeline holds at once; memory returned beyond this is freed.
    const KEPT: usize = 16;

    /// A picture of this size, in pixels; its contents are unspecified.
    pub fn picture(&self, width: u32, height: u32) -> Picture {
        let mut pixels = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        pixels.resize(3 * width as usize * height as usize, 0);
        let image = RgbImage::from_raw(width, height, pixels).unwrap_or_default();
        Picture { image, home: Some(self.clone()) }
    }

    fn take_back(&self, pixels: Vec<u8>) {
        let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() < Self::KEPT {
            free.push(pixels);
        }
    }
}

/// An RGB picture. One from a [`Pool`], and each of its copies, returns its memory there when dropped.
#[derive(Debug, Default)]
pub struct Picture {
    image: RgbImage,
    home: Option<Pool>,
}

impl Picture {
    /// The picture without its pool; its memory does not return there.
    pub fn into_image(mut self) -> RgbImage {
        self.home = None;
        std::mem::take(&mut self.image)
    }
}

impl From<RgbImage> for Picture {
    fn from(image: RgbImage) -> Self {
        Self { image, home: None }
    }
}

impl PartialEq for Picture {
    fn eq(&self, other: &Self) -> bool {
        self.image == other.image
    }
}

impl Clone for Picture {
    fn clone(&self) -> Self {
        let Some(home) = &self.home else { return self.image.clone().into() };
        let mut copy = home.picture(self.width(), self.height());
        copy.copy_from_slice(self);
        copy
    }
}

impl Deref for Picture {
    type Target = RgbImage;

    fn deref(&self) -> &RgbImage {
        &self.image
    }
}

impl DerefMut for Picture {
    fn deref_mut(&mut self) -> &mut RgbImage {
        &mut self.image
    }
}

impl Drop for Picture {
    fn drop(&mut self) {
        if let Some(home) = &self.home {
            home.take_back(std::mem::take(&mut self.image).into_raw());
        }
    }
}

/// How many times as large a picture of a size in pixels is at which it just fits into `most`.
pub fn scale_to_fit((width, height): (u32, u32), (most_across, most_down): (u32, u32)) -> f64 {
    let across = f64::from(most_across) / f64::from(width.max(1));
    across.min(f64::from(most_down) / f64::from(height.max(1)))
}

/// A size in pixels, `scale` times as large, at least one pixel to a side.
pub fn scaled((width, height): (u32, u32), scale: f64) -> (u32, u32) {
    let side = |side: u32| ((f64::from(side) * scale).round() as u32).max(1);
    (side(width), side(height))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_reused_up_to_the_size_of_the_pool() {
        let pool = Pool::default();
        let first = pool.picture(8, 4);
        let at = first.as_ptr();
        drop(first);
        let second = pool.picture(8, 4);
        assert_eq!(second.as_ptr(), at);
        assert_eq!(*second.clone(), *second);
        assert_eq!(pool.picture(4, 4).dimensions(), (4, 4));
        drop((0..2 * Pool::KEPT).map(|_| pool.picture(8, 4)).collect::<Vec<_>>());
        assert_eq!(pool.0.lock().map_or(0, |free| free.len()), Pool::KEPT);
    }
}
