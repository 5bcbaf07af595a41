//! Is the model right, and are its maps faithful? One measure per file, each with its paper.
//!
//! A measure of a map gets a [`Trial`]: one picture, its map, and the model for changed copies of the picture.

mod adcc;
mod arcc;
mod average_drop;
mod calibration;
mod choice;
mod confusion;
mod detections;
mod displacement;
mod flicker;
mod grid_pointing;
mod insertion_deletion;
mod measure;
mod parallel;
mod photos;
mod plan;
mod progress;
mod randomisation;
mod report;
mod road;
mod run;
mod stability;
mod statistics;
mod totals;
mod trial;
mod worker;

pub use adcc::{Adcc, adcc};
pub use arcc::arcc;
pub use average_drop::{Change, average_drop};
pub use calibration::{Bin, calibration_error, reliability};
pub use choice::{choose, may_be_default};
pub use confusion::Confusion;
pub use detections::{DetectionEvaluation, DetectionMeasures, evaluate_detections};
pub use displacement::{Displacement, displacement};
pub use flicker::{Motion, motion};
pub use grid_pointing::{PhotoGrid, energy_in_tile, grids};
pub use insertion_deletion::{Curves, area_under, insertion_deletion};
pub use photos::{Photo, labelled_photos};
pub use plan::Plan;
pub use progress::Progress;
pub use randomisation::{Sanity, randomised};
pub use report::{Case, Evaluation, Faithfulness, FilmMotion, Measured};
pub use road::{Road, imputed, road};
pub use run::evaluate;
pub use stability::stability;
pub use statistics::{pearson, spearman};
pub use trial::{Trial, to_unit};
