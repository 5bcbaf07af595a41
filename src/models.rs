//! The models that are compiled into the program.

use crate::error::{Error, Result};
use crate::manifest::Manifest;
use crate::onnx::OnnxModel;

/// A model with its manifest, as files in memory.
pub struct Embedded {
    pub name: &'static str,
    onnx: &'static [u8],
    manifest: &'static str,
}

/// The first is the default.
pub const EMBEDDED: &[Embedded] = &[
    Embedded {
        name: "flowers",
        onnx: include_bytes!("../models/flowers.onnx"),
        manifest: include_str!("../models/flowers.toml"),
    },
    Embedded {
        name: "flowers-int8",
        onnx: include_bytes!("../models/flowers-int8.onnx"),
        manifest: include_str!("../models/flowers-int8.toml"),
    },
    Embedded {
        name: "flowers-vgg",
        onnx: include_bytes!("../models/flowers-vgg.onnx"),
        manifest: include_str!("../models/flowers-vgg.toml"),
    },
];

impl Embedded {
    /// # Errors
    /// The files that this build was made from are damaged.
    pub fn load(&self) -> Result<(OnnxModel, Manifest)> {
        let model = OnnxModel::from_bytes(self.name, self.onnx)?;
        Ok((model, self.manifest()?))
    }

    /// # Errors
    /// The manifest that this build was made from is damaged.
    pub fn manifest(&self) -> Result<Manifest> {
        Manifest::parse(self.manifest).map_err(|problem| Error::model(self.name, problem))
    }
}
