//! A camera's modes: what it offers, and which suits.

use std::cmp::Reverse;

use super::decode::PixelFormat;

/// The size and rate to ask a camera for. It gives the nearest that it has.
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestedMode {
    /// Width and height in pixels.
    pub size: Option<(u32, u32)>,
    /// Frames per second.
    pub rate: Option<f64>,
}

/// A picture size of a camera, with its formats and rates.
#[derive(Clone, Debug, PartialEq)]
pub struct CameraMode {
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// Pixel formats that can be decoded, by their names in V4L2.
    pub formats: Vec<&'static str>,
    /// Frames per second.
    pub rates: Vec<f64>,
}

/// One combination of format, size and rate that a camera offers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Offer {
    pub format: PixelFormat,
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// The time from one frame to the next: numerator and denominator of a second.
    pub interval: (u32, u32),
}

impl Offer {
    /// Frames per second.
    pub fn rate(&self) -> f64 {
        f64::from(self.interval.1) / f64::from(self.interval.0.max(1))
    }

    /// How near the offer is to the requested mode. Larger is nearer.
    fn nearness(&self, requested: RequestedMode) -> (i64, i64) {
        let apart = |a: u32, b: u32| -i64::from(a.abs_diff(b));
        let size = requested.size.map_or(0, |(width, height)| apart(self.width, width) + apart(self.height, height));
        (size, requested.rate.map_or(0, |rate| (-1000.0 * (self.rate() - rate).abs()) as i64))
    }

    /// How well the offer suits live view. Larger is better: a fluid rate first, then a size neither coarse nor heavy,
    /// then a high rate up to 60 a second, then few pixels, then cheap decoding. Gray is for cameras that have nothing else.
    fn suitability(&self) -> impl Ord + use<> {
        let rate = (1000.0 * self.rate()) as u32;
        let pixels = u64::from(self.width) * u64::from(self.height);
        let size = match pixels {
            307_200..=921_600 => 3,
            200_000..307_200 => 2,
            921_601..=2_100_000 => 1,
            _ => 0,
        };
        let cost = PixelFormat::ALL.iter().position(|format| *format == self.format);
        let coloured = self.format != PixelFormat::Gray;
        (coloured, rate >= 23_900, size, rate.min(60_000), Reverse(pixels), Reverse(cost), Reverse(rate))
    }
}

/// Sorts what a camera offers, the nearest to the request and the most suitable first.
pub fn sort(offers: &mut [Offer], requested: RequestedMode) {
    offers.sort_by_key(|offer| Reverse((offer.nearness(requested), offer.suitability())));
}

/// Offers as modes, one for each size, in the order of the offers.
pub fn by_size(offers: &[Offer]) -> Vec<CameraMode> {
    let mut modes: Vec<CameraMode> = Vec::new();
    for offer in offers {
        let (width, height) = (offer.width, offer.height);
        let known = modes.iter().position(|mode| (mode.width, mode.height) == (width, height)).unwrap_or_else(|| {
            modes.push(CameraMode { width, height, formats: Vec::new(), rates: Vec::new() });
            modes.len() - 1
        });
        let CameraMode { formats, rates, .. } = &mut modes[known];
        if !formats.contains(&offer.format.name()) {
            formats.push(offer.format.name());
        }
        if !rates.contains(&offer.rate()) {
            rates.push(offer.rate());
        }
    }
    modes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(format: PixelFormat, (width, height): (u32, u32), interval: (u32, u32)) -> Offer {
        Offer { format, width, height, interval }
    }

    fn best(offers: &[Offer], requested: RequestedMode) -> Offer {
        let mut sorted = offers.to_vec();
        sort(&mut sorted, requested);
        sorted[0]
    }

    #[test]
    fn a_fluid_rate_and_a_moderate_size_come_first_and_a_request_before_them() {
        use PixelFormat::{Gray, Mjpeg, Yuyv};
        let small = offer(Yuyv, (320, 180), (1, 60));
        let raw = offer(Yuyv, (640, 480), (1, 30));
        let compressed = offer(Mjpeg, (640, 480), (1, 30));
        let slow = offer(Yuyv, (1280, 720), (2, 25));
        let film = offer(Mjpeg, (1280, 720), (1001, 24_000));
        let gray = offer(Gray, (640, 480), (1, 60));
        let all = [small, compressed, slow, gray, film, raw];
        assert_eq!(best(&all, RequestedMode::default()), raw);
        assert_eq!(best(&[slow, film], RequestedMode::default()), film);
        assert_eq!(best(&[gray], RequestedMode::default()), gray);
        let fast = [(1, 1000), (1, 60)].map(|interval| offer(Yuyv, (640, 480), interval));
        assert_eq!(best(&fast, RequestedMode::default()), fast[1]);
        let of = |size, rate| best(&all, RequestedMode { size, rate });
        assert_eq!(of(Some((1300, 700)), None), film);
        assert_eq!(of(Some((1280, 720)), Some(12.5)), slow);
        assert_eq!(of(None, Some(23.976)), film);
        assert_eq!(of(Some((100, 100)), None), small);
    }

    #[test]
    fn each_size_is_listed_once() {
        let offers = [(PixelFormat::Yuyv, (1, 30)), (PixelFormat::Mjpeg, (1, 30)), (PixelFormat::Mjpeg, (2, 25))];
        let modes = by_size(&offers.map(|(format, interval)| offer(format, (640, 480), interval)));
        let [mode] = &modes[..] else { panic!("{modes:?}") };
        assert_eq!(mode.formats, ["YUYV", "MJPG"]);
        assert_eq!(mode.rates, [30.0, 12.5]);
    }
}
