//! What is evaluated, and how thoroughly.

use std::path::PathBuf;

use crate::cam::Method;
use crate::model::{ModelOptions, Request};

/// What is evaluated, and how thoroughly.
pub struct Plan {
    /// The model, with the threads of each worker.
    pub options: ModelOptions,
    /// The number of photos that are measured at once.
    pub workers: usize,
    /// The layers and their fusion; each of `methods` replaces its method.
    pub request: Request,
    pub methods: Vec<&'static Method>,
    /// The number of photos on which maps are measured. All photos are classified.
    pub sample: usize,
    /// The number of grids of four photos.
    pub grids: usize,
    /// The number of photos whose maps are compared with those of randomised weights.
    pub sanity: usize,
    /// Steps of insertion and deletion.
    pub steps: usize,
    pub seed: u64,
    /// Films on which flicker and lag are measured.
    pub films: Vec<PathBuf>,
}
