//! The models compiled into the program.

use std::fmt;

use super::manifest::Manifest;
use crate::error::{Error, Result};
use crate::onnx::OnnxModel;

/// A model with its manifest, as files in memory.
pub struct Embedded {
    pub name: &'static str,
    onnx: &'static [u8],
    manifest: &'static str,
}

/// The first is the default.
pub static EMBEDDED: &[Embedded] = &[
    Embedded {
        name: "flowers",
        onnx: include_bytes!("../../models/flowers.onnx"),
        manifest: include_str!("../../models/flowers.toml"),
    },
    Embedded {
        name: "flowers-int8",
        onnx: include_bytes!("../../models/flowers-int8.onnx"),
        manifest: include_str!("../../models/flowers-int8.toml"),
    },
    Embedded {
        name: "flowers-vgg",
        onnx: include_bytes!("../../models/flowers-vgg.onnx"),
        manifest: include_str!("../../models/flowers-vgg.toml"),
    },
    Embedded {
        name: "objects",
        onnx: include_bytes!("../../models/objects.onnx"),
        manifest: include_str!("../../models/objects.toml"),
    },
];

impl fmt::Debug for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Embedded {
    /// # Errors
    /// The files compiled into this build are damaged.
    pub fn load(&self) -> Result<(OnnxModel, Manifest)> {
        let model = OnnxModel::from_bytes(self.name, self.onnx)?;
        Ok((model, self.manifest()?))
    }

    /// # Errors
    /// The manifest compiled into this build is damaged.
    pub fn manifest(&self) -> Result<Manifest> {
        Manifest::parse(self.manifest).map_err(|problem| Error::model(self.name, problem))
    }
}
