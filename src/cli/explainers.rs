//! Making the explainers that the options ask for, and telling the user how.

use std::path::PathBuf;
use std::thread;

use anyhow::{Result, anyhow};
use whycam::plumbing::Semaphore;
use whycam::{Compute, Explainer, ExplanationContext, session};

use super::args::{ExplainArgs, GlobalArgs, ModelArgs};
use super::output::say;

/// How many threads do what, where each frame is explained for itself.
pub struct ThreadPlan {
    /// Explainers, of one thread each unless the model is huge: one thread takes less time for a frame than two threads
    /// take for half of it each, and the results do not depend on the number of threads.
    pub explainers: usize,
    pub threads_each: usize,
    /// The decoder has less to do than all others, and costs more the more threads it has.
    pub decoder: usize,
    pub encoder: usize,
    /// How many of these work at once.
    pub semaphore: Semaphore,
}

/// Bytes that the weights of all explainers may take.
const MEMORY: u64 = 4 << 30;

fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

impl ModelArgs {
    /// The number of threads that is requested, or one a core.
    pub fn threads(&self) -> usize {
        match self.settings.threads {
            0 => cores(),
            threads => threads,
        }
    }

    /// How the threads share the work, where each explainer has `models` models loaded.
    pub fn thread_plan(&self, models: u64) -> ThreadPlan {
        let threads = self.threads();
        // With all cores in use, the system shares them out better than a semaphore would.
        let semaphore = if threads < cores() { Semaphore::new(threads) } else { Semaphore::UNBOUNDED };
        // Each model has the weights about three times: as read, as loaded, and as packed for the processor.
        let path = self.model.as_ref().map(PathBuf::from);
        let path = path.map(|path| whycam::model::graph_file(&path).unwrap_or(path));
        let file = path.and_then(|path| std::fs::metadata(path).ok());
        let weights = file.map_or(1, |file| file.len().max(1));
        let explainers = threads.min((MEMORY / (3 * models * weights)).max(1) as usize);
        let (threads_each, decoder) = (threads / explainers, (threads / 2).max(1));
        ThreadPlan { explainers, threads_each, decoder, encoder: threads, semaphore }
    }
}

impl ExplainArgs {
    /// One explainer with all threads.
    pub fn explainer(&self, global: &GlobalArgs) -> Result<Explainer> {
        global.tell_runtime()?;
        let explainer = Explainer::new(&self.model.options(), &self.map.request()?)?;
        global.tell_context(explainer.context());
        Ok(explainer)
    }

    /// `count` explainers of `threads` threads each.
    pub fn explainers(&self, global: &GlobalArgs, count: usize, threads: usize) -> Result<Vec<Explainer>> {
        global.tell_runtime()?;
        let (mut options, request) = (self.model.options(), self.map.request()?);
        options.compute = Compute { threads, ..options.compute };
        // The first one augments the model, unless the cache has it; the others find it in the cache.
        let first = Explainer::new(&options, &request)?;
        global.tell_context(first.context());
        thread::scope(|scope| {
            let others: Vec<_> = (1..count).map(|_| scope.spawn(|| Explainer::new(&options, &request))).collect();
            let others = others.into_iter().map(|other| other.join().map_err(|_| anyhow!("loading the model failed")));
            std::iter::once(Ok(first)).chain(others.map(|other| Ok(other??))).collect()
        })
    }
}

impl GlobalArgs {
    /// Prints what was guessed or found out about a model, and with `-v` what is used.
    fn tell_context(&self, context: &ExplanationContext) {
        self.tell_guess(context.guess);
        if !self.quiet {
            context.notices.iter().for_each(say);
        }
        if self.verbose {
            say(format_args!("model {}, layer {}, method {}", context.model, context.layer, context.method));
        }
    }

    /// Prints how pictures are preprocessed, if that was guessed.
    pub fn tell_guess(&self, guess: Option<whycam::model::Guess>) {
        if let Some(guess) = guess.filter(|_| !self.quiet) {
            say(guess.notice());
        }
    }

    pub fn tell_runtime(&self) -> Result<()> {
        let runtime = session::runtime()?;
        if let Some(slower) = runtime.slower.as_ref().filter(|_| !self.quiet) {
            say(slower);
        }
        if self.verbose {
            say(format_args!("runtime {}", runtime.name));
        }
        Ok(())
    }
}
