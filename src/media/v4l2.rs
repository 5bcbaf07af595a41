//! What the safe interface of the crate v4l lacks.

use v4l::Device;
use v4l::buffer::Type;
use v4l::v4l_sys::{v4l2_buffer, v4l2_format};

/// Whether the device has a buffer of an index: it may have fewer or more than were asked for.
#[expect(unsafe_code, reason = "the safe interface does not tell the number of buffers")]
pub fn has_buffer(device: &Device, kind: Type, index: u32) -> bool {
    // SAFETY: the structure is plain numbers, for which zeros are valid, and the kernel only fills it.
    unsafe {
        let mut buffer = v4l2_buffer { index, type_: kind as u32, ..std::mem::zeroed() };
        let pointer = (&raw mut buffer).cast();
        v4l::v4l2::ioctl(device.handle().fd(), v4l::v4l2::vidioc::VIDIOC_QUERYBUF, pointer).is_ok()
    }
}

/// The encoding of a camera's colours, by its number in the enumeration `v4l2_ycbcr_encoding`. 0 is that of the colour
/// space.
#[expect(unsafe_code, reason = "the safe interface leaves the encoding out")]
pub fn ycbcr_encoding(device: &Device) -> u32 {
    // SAFETY: the structure is plain numbers, for which zeros are valid; the kernel only fills it, and fills the part of the
    // union that is read.
    unsafe {
        let mut format = v4l2_format { type_: Type::VideoCapture as u32, ..std::mem::zeroed() };
        let pointer = (&raw mut format).cast();
        let told = v4l::v4l2::ioctl(device.handle().fd(), v4l::v4l2::vidioc::VIDIOC_G_FMT, pointer);
        told.map_or(0, |()| format.fmt.pix.__bindgen_anon_1.ycbcr_enc)
    }
}
