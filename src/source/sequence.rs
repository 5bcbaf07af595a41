//! Several inputs in sequence. Pictures are read ahead.

use std::collections::VecDeque;
use std::thread::{self, JoinHandle};

use super::inputs::Input;
use super::interface::Source;
use super::open::{is_still, open};
use super::still::StillSource;
use crate::error::{Error, Result};
use crate::media::{Frame, Report};
use crate::sync::Semaphore;

/// Reads inputs in sequence. If one of several fails, its error goes to the report and the next input follows. If the
/// only input fails, the sequence fails.
pub struct SequenceSource {
    inputs: VecDeque<Input>,
    single: bool,
    current: Option<Box<dyn Source>>,
    ahead: VecDeque<Ahead>,
    threads: usize,
    semaphore: Semaphore,
    report: Report,
    /// The input that is read.
    name: String,
    /// Frames of the inputs that have ended.
    frames_before: u64,
    frames_of_current: u64,
}

/// An input that comes next.
enum Ahead {
    /// A picture, read on a thread.
    Picture(Input, JoinHandle<Result<StillSource>>),
    /// A film or another input, which is not read ahead.
    Other(Input),
}

impl SequenceSource {
    /// Opens a sequence of inputs, read on up to `threads` threads. Each thread holds a permit while it reads.
    ///
    /// # Errors
    /// The only input cannot be opened.
    pub fn open(inputs: Vec<Input>, threads: usize, semaphore: Semaphore, report: Report) -> Result<Self> {
        let single = inputs.len() == 1;
        let mut inputs = VecDeque::from(inputs);
        let first = if single { inputs.pop_front() } else { None };
        let name = first.as_ref().map(|input| input.name.clone()).unwrap_or_default();
        let current = first.map(|input| open(&input, threads, &report)).transpose()?;
        Ok(Self {
            inputs,
            single,
            current,
            ahead: VecDeque::new(),
            threads,
            semaphore,
            report,
            name,
            frames_before: 0,
            frames_of_current: 0,
        })
    }

    fn fail(&mut self, error: Error) -> Result<()> {
        self.current = None;
        if self.single {
            return Err(error);
        }
        self.report.fail(&self.name, error);
        Ok(())
    }

    /// Starts to read the next inputs.
    fn read_ahead(&mut self) {
        while self.ahead.len() < self.threads.max(1)
            && let Some(input) = self.inputs.pop_front()
        {
            let semaphore = self.semaphore.clone();
            let (path, report) = (input.path.clone().unwrap_or_default(), self.report.clone());
            let read = move || {
                let _permit = semaphore.acquire();
                StillSource::open(&path, &report)
            };
            let reader = is_still(&input).then(|| thread::Builder::new().name("read ahead".into()).spawn(read).ok());
            self.ahead.push_back(match reader.flatten() {
                Some(reader) => Ahead::Picture(input, reader),
                None => Ahead::Other(input),
            });
        }
    }

    fn open_next(&mut self) -> Option<Result<Box<dyn Source>>> {
        self.read_ahead();
        Some(match self.ahead.pop_front()? {
            Ahead::Other(input) => {
                self.name.clone_from(&input.name);
                open(&input, self.threads, &self.report)
            }
            Ahead::Picture(input, reader) => {
                self.name.clone_from(&input.name);
                let panicked = || Error::input(&input.name, "the thread that read it panicked; please report this");
                let read = reader.join().unwrap_or_else(|_| Err(panicked()));
                read.map(|still| Box::new(still) as Box<dyn Source>)
            }
        })
    }

    /// Reads the current input's next frame. Returns `None` at its end, or if no input is open.
    fn next_of_current(&mut self) -> Result<Option<Frame>> {
        let Some(source) = &mut self.current else { return Ok(None) };
        let next = {
            let _permit = self.semaphore.acquire();
            source.next_frame()
        };
        match next {
            Ok(Some(frame)) => {
                self.frames_of_current += 1;
                return Ok(Some(frame));
            }
            Ok(None) => {
                self.frames_before += std::mem::take(&mut self.frames_of_current);
                self.current = None;
            }
            Err(error) => self.fail(error)?,
        }
        Ok(None)
    }
}

impl Source for SequenceSource {
    fn next_frame(&mut self) -> Result<Option<Frame>> {
        loop {
            if let Some(frame) = self.next_of_current()? {
                return Ok(Some(frame));
            }
            match self.open_next() {
                Some(Ok(source)) => self.current = Some(source),
                Some(Err(error)) => self.fail(error)?,
                None => return Ok(None),
            }
        }
    }

    /// Exact for a single input. Each further input counts as at least one frame.
    fn frame_count(&self) -> Option<u64> {
        let current = self.current.as_ref().map_or(Some(0), |source| source.frame_count())?;
        Some(self.frames_before + current + (self.ahead.len() + self.inputs.len()) as u64)
    }
}
