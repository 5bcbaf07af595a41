//! `whycam teach`

mod command;
mod folder;
mod live;
mod table;

pub use command::{NEVER, OF_FOLDER, Teach};
pub use live::album_of;
