//! Reading files within limits, and writing files that are either complete or absent.

mod atomic_file;
mod checksum;
mod folder;
pub mod limits;
mod npy;

pub use atomic_file::{PartFile, check_free, check_place, first_free, write_whole};
pub use checksum::{sealed, unsealed};
pub use folder::make_folder;
pub use npy::read_npy;
