//! The measures of one method's maps.

use rand::SeedableRng;
use rand::rngs::SmallRng;
use serde::Serialize;

use super::displacement::Displacement;
use super::grid_pointing::grids;
use super::parallel::parallel_map;
use super::photos::Photo;
use super::plan::Plan;
use super::progress::{GridMeasured, PhotoMeasured, Progress};
use super::randomisation::{Sanity, randomised};
use super::report::{Case, Measured};
use super::totals::means;
use super::worker::{Explained, Worker};
use crate::cam::Method;
use crate::error::Result;
use crate::explain::Classifier;
use crate::media::name_of;
use crate::model::Request;

/// One method, on several photos at once.
pub struct Bench<'a> {
    plan: &'a Plan,
    method: &'static Method,
    request: Request,
    workers: Vec<Worker<'a>>,
}

/// The share of the work on photos, and on photos and grids.
const PHOTOS: f32 = 0.6;
const GRIDS: f32 = 0.9;

impl<'a> Bench<'a> {
    /// A worker for each of the classifiers.
    ///
    /// # Errors
    /// The model cannot be prepared for the method.
    pub fn new(plan: &'a Plan, method: &'static Method, classifiers: &'a mut [Classifier]) -> Result<Self> {
        let request = Request { method: Some(method), ..plan.request.clone() };
        let workers = classifiers.iter_mut().map(|classifier| Worker::new(plan, method, &request, classifier));
        let workers = workers.collect::<Result<_>>()?;
        Ok(Self { plan, method, request, workers })
    }

    /// All measures: on the photos of `sample`, on grids of the photos in `pointing`, and on the films of the plan.
    ///
    /// # Errors
    /// A photo or film cannot be read, the model fails, or a result cannot be kept.
    pub fn measure(&mut self, sample: &[&Photo], pointing: &[&Photo], progress: &mut Progress) -> Result<Measured> {
        let photos = self.photos(sample, progress)?;
        let displaced: Vec<_> = photos.iter().filter_map(|photo| photo.displacement).collect();
        let (mut faithfulness, curves) = means(&photos, self.plan.steps);
        faithfulness.grid_pointing = self.point(pointing, progress)?;
        let mut cases: Vec<Case> = photos.into_iter().map(|photo| photo.case).collect();
        cases.sort_by(|a, b| (b.insertion - b.deletion).total_cmp(&(a.insertion - a.deletion)));
        let sanity = self.sanity(&sample[..self.plan.sanity.min(sample.len())])?;
        let films = parallel_map(&mut self.workers, &self.plan.films, |worker, film| worker.film(film), |_| Ok(()))?;
        let context = self.workers.first().map(|worker| worker.explainer.context());
        Ok(Measured {
            method: self.method.name,
            layer: context.map(|context| context.layer.clone()).unwrap_or_default(),
            shift: context.and_then(|context| context.shift),
            photos: sample.len(),
            faithfulness,
            displacement: Displacement::of(&displaced),
            curves,
            cases,
            sanity,
            films,
        })
    }

    /// The measures of each photo of the sample.
    fn photos(&mut self, sample: &[&Photo], progress: &mut Progress) -> Result<Vec<PhotoMeasured>> {
        let photos: Vec<_> = sample.iter().copied().enumerate().collect();
        let known = sample.iter().map(|photo| progress.of_photo(self.method, photo)).collect();
        self.resumed_or_measured(
            &photos,
            known,
            |worker, (number, photo)| worker.photo(photo, *number),
            progress,
            [0.0, PHOTOS],
        )
    }

    /// The mean energy in the right tile, over grids of these photos.
    fn point(&mut self, photos: &[&Photo], progress: &mut Progress) -> Result<Option<f32>> {
        let classes: Vec<usize> = photos.iter().map(|photo| photo.class_index).collect();
        let grids = grids(&classes, self.plan.grids, &mut SmallRng::seed_from_u64(self.plan.seed));
        let grids: Vec<_> = grids.iter().map(|grid| grid.photos.map(|index| photos[index])).collect();
        let paths = |grid: &[&Photo; 4]| grid.map(|photo| name_of(&photo.path));
        let known = grids.iter().map(|grid| progress.of_grid(self.method, &paths(grid))).collect();
        let method = self.method.name;
        let work = |worker: &mut Worker, grid: &[&Photo; 4]| {
            Ok(GridMeasured { method, photos: paths(grid), shares: worker.grid(*grid)? })
        };
        let measured = self.resumed_or_measured(&grids, known, work, progress, [PHOTOS, GRIDS])?;
        let sum: f32 = measured.iter().flat_map(|grid| grid.shares).sum();
        Ok((!measured.is_empty()).then(|| sum / (4 * measured.len()) as f32))
    }

    /// What is measured of each item: what is `known`, and the others by `work`, while the progress goes from a share to another.
    fn resumed_or_measured<T: Sync, M: Serialize + Send>(
        &mut self,
        items: &[T],
        known: Vec<Option<M>>,
        work: impl Fn(&mut Worker, &T) -> Result<M> + Sync,
        progress: &mut Progress,
        [from, to]: [f32; 2],
    ) -> Result<Vec<M>> {
        let missing: Vec<&T> =
            items.iter().zip(&known).filter(|(_, known)| known.is_none()).map(|(item, _)| item).collect();
        let mut left = missing.len();
        let keep = |measured: &M| {
            progress.keep(measured)?;
            left -= 1;
            progress.tell(to - (to - from) * left as f32 / items.len() as f32);
            Ok(())
        };
        let mut new = parallel_map(&mut self.workers, &missing, |worker, item| work(worker, item), keep)?.into_iter();
        Ok(known.into_iter().filter_map(|known| known.or_else(|| new.next())).collect())
    }

    /// The sanity check on these photos. It is skipped for methods that rerun the model for every score, where it would
    /// take minutes.
    fn sanity(&mut self, photos: &[&Photo]) -> Result<Option<Sanity>> {
        if photos.is_empty() || self.method.reruns_for_scores() {
            return Ok(None);
        }
        let explain = |worker: &mut Worker, photo: &&Photo| {
            let Explained { picture, class, explanation, .. } = worker.explained(photo)?;
            Ok((picture, class, explanation.map.values))
        };
        let known = parallel_map(&mut self.workers, photos, explain, |_| Ok(()))?;
        let pictures: Vec<_> = known.iter().map(|(picture, class, map)| (picture, *class, map)).collect();
        Ok(Some(randomised(&self.plan.options, &self.request, &pictures, self.plan.seed, self.workers.len())?))
    }
}
