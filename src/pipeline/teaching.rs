//! Teaching during live view: a thread that learns, and what the output stage has to do with it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::control::Change;
use super::item::Status;
use crate::error::Result;
use crate::explain::{Explanation, ExplanationContext};
use crate::media::Picture;
use crate::model::Request;
use crate::screen::{TaughtClass, TeachingView};
use crate::teach::{Middle, Pupil, PupilOptions};

/// What the learning thread is asked to do.
enum Order {
    /// Takes a picture of a class.
    Look {
        class: usize,
        picture: Picture,
    },
    /// A key is let go: the group of pictures is complete.
    Learn,
    Undo,
    Forget(usize),
    Rename(Vec<String>),
    Check,
}

/// Teaching, as the output stage sees it. Dropping it waits until what was taught is on disk.
pub struct Teacher {
    orders: Option<Sender<Order>>,
    thread: Option<JoinHandle<()>>,
    shared: Arc<Shared>,
    /// The class whose key is held down, and when its last picture was taken.
    held: Option<(usize, Instant)>,
    /// Whether the next number key names the class to forget.
    forgets: bool,
}

/// What both threads know.
struct Shared {
    view: Mutex<TeachingView>,
    request: Mutex<Request>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The time between two pictures while a key is held.
const INTERVAL: Duration = Duration::from_millis(125);
/// How much of the mean share of evidence in the middle each frame replaces.
const SHARE: f32 = 0.1;

impl Teacher {
    /// Starts the thread. New explainers go to `changes`, and messages to `status`.
    pub fn start(options: PupilOptions, request: Request, changes: Sender<Change>, status: Sender<Status>) -> Self {
        let shared = Arc::new(Shared { view: Mutex::default(), request: Mutex::new(request) });
        let (sender, orders) = unbounded();
        let of_thread = LearningThread { shared: Arc::clone(&shared), changes, status };
        let thread = thread::Builder::new().name("learning".into()).spawn(move || of_thread.run(options, &orders)).ok();
        Self { orders: Some(sender), thread, shared, held: None, forgets: false }
    }

    pub fn view(&self) -> TeachingView {
        let view = lock(&self.shared.view).clone();
        TeachingView { held: self.held.map(|(class, _)| class), ..view }
    }

    /// Further explainers are made for this request.
    pub fn set_request(&self, request: Request) {
        *lock(&self.shared.request) = request;
    }

    fn ask(&self, order: Order) {
        if let Some(orders) = &self.orders {
            let _ = orders.send(order);
        }
    }

    /// A number key is pressed or let go. `picture` is what the camera sees.
    pub fn number(&mut self, number: usize, down: bool, picture: Option<&Picture>) {
        let class = number.saturating_sub(1);
        if !down {
            if self.held.take_if(|(held, _)| *held == class).is_some() {
                self.ask(Order::Learn);
            }
        } else if std::mem::take(&mut self.forgets) {
            self.ask(Order::Forget(class));
        } else if let Some(picture) = picture.filter(|_| self.held.is_none_or(|(held, _)| held != class)) {
            self.look(class, picture);
        }
    }

    /// Takes a picture of the class whose key is held. A slow machine takes fewer.
    fn look(&mut self, class: usize, picture: &Picture) {
        const MOST_WAITING: usize = 4;
        if self.orders.as_ref().is_some_and(|orders| orders.len() < MOST_WAITING) {
            self.ask(Order::Look { class, picture: picture.clone() });
        }
        self.held = Some((class, Instant::now()));
    }

    /// Takes a picture if a key is held, and notes where the evidence lies.
    pub fn see(&mut self, picture: &Picture, explanation: &Explanation, context: &ExplanationContext) {
        if let Some((class, _)) = self.held.filter(|(_, since)| since.elapsed() >= INTERVAL) {
            self.look(class, picture);
        }
        let Some(predicted) = explanation.classes().map(|classes| context.label(classes.class_index)) else { return };
        let Explanation { map, region, seen, .. } = explanation;
        let Some(share) = Middle::share_of(map, region, seen) else { return };
        let mut view = lock(&self.shared.view);
        if let Some(class) = view.classes.iter_mut().find(|class| class.name == predicted && class.pictures > 0) {
            class.in_middle = Some(class.in_middle.map_or(share, |mean| mean + SHARE * (share - mean)));
        }
    }

    pub fn undo(&self) {
        self.ask(Order::Undo);
    }

    /// The next number key names a class to forget.
    pub fn forget_next(&mut self) {
        self.forgets = true;
    }

    pub fn rename(&self, names: &str) {
        let names = names.split(',').map(str::trim).filter(|name| !name.is_empty());
        self.ask(Order::Rename(names.map(str::to_owned).collect()));
    }

    /// Shows where the evidence lies, or no longer. Returns whether it is shown.
    pub fn toggle_evidence(&mut self) -> bool {
        let shown = {
            let mut view = lock(&self.shared.view);
            view.evidence = !view.evidence;
            view.evidence
        };
        if shown {
            self.ask(Order::Check);
        }
        shown
    }
}

impl Drop for Teacher {
    fn drop(&mut self) {
        if self.held.take().is_some() {
            self.ask(Order::Learn);
        }
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The side of the thread that learns.
struct LearningThread {
    shared: Arc<Shared>,
    changes: Sender<Change>,
    status: Sender<Status>,
}

impl LearningThread {
    fn run(self, options: PupilOptions, orders: &Receiver<Order>) {
        match Pupil::new(options).and_then(|mut pupil| self.begin(&mut pupil).map(|()| pupil)) {
            Ok(mut pupil) => {
                for order in orders {
                    let done = self.obey(&mut pupil, order);
                    self.tell(done.unwrap_or_else(|error| Some(error.to_string())));
                    self.show(&pupil);
                }
            }
            Err(error) => self.tell(Some(error.to_string())),
        }
    }

    fn tell(&self, message: Option<String>) {
        if let Some(message) = message {
            let _ = self.status.send(Status::Message(message));
        }
    }

    /// Shows the backbone, or what an earlier run has taught.
    fn begin(&self, pupil: &mut Pupil) -> Result<()> {
        pupil.learn()?;
        self.replace(pupil)?;
        self.show(pupil);
        self.tell(Some("hold 1 to 9 to teach a class".into()));
        Ok(())
    }

    fn obey(&self, pupil: &mut Pupil, order: Order) -> Result<Option<String>> {
        match order {
            Order::Look { class, picture } => pupil.look(class, &picture).map(|()| None),
            Order::Learn => {
                pupil.album().begin_group();
                self.learn(pupil)
            }
            Order::Undo => {
                let Some(message) = pupil.album().undo()? else { return Ok(Some("nothing to take back".into())) };
                self.learn(pupil)?;
                Ok(Some(message))
            }
            Order::Forget(class) => {
                let name = pupil.classes().get(class).map(|class| class.name.clone());
                let Some(name) = name else { return Ok(Some("no class has this number".into())) };
                let count = pupil.album().forget(class)?;
                self.learn(pupil)?;
                Ok(Some(format!("{name}: {count} pictures are forgotten; U takes them back")))
            }
            Order::Rename(names) => {
                pupil.album().rename(&names)?;
                self.learn(pupil)
            }
            Order::Check => {
                let checks = pupil.check()?;
                let mut view = lock(&self.shared.view);
                for (class, check) in view.classes.iter_mut().zip(&checks) {
                    class.by_background = check.share().map(|_| check.is_by_background());
                }
                let named = view.classes.iter().filter(|class| class.by_background == Some(true));
                let named: Vec<&str> = named.map(|class| class.name.as_str()).collect();
                Ok(Some(match named.as_slice() {
                    [] if checks.iter().all(|check| check.share().is_none()) => "too few pictures to check".into(),
                    [] => "no class is recognised by its background".into(),
                    named => format!("recognised by its background: {}", named.join(", ")),
                }))
            }
        }
    }

    fn learn(&self, pupil: &mut Pupil) -> Result<Option<String>> {
        let learned = pupil.learn()?;
        self.replace(pupil)?;
        Ok((!learned).then(|| "now teach a second class".into()))
    }

    fn replace(&self, pupil: &Pupil) -> Result<()> {
        let request = lock(&self.shared.request).clone();
        let explainer = pupil.explainer(&request)?;
        let _ = self.changes.send(Change::Explainer(Box::new(explainer)));
        // The view goes first.
        pupil.save()
    }

    fn show(&self, pupil: &Pupil) {
        let mut view = lock(&self.shared.view);
        let before = std::mem::take(&mut view.classes);
        let class = |class: crate::teach::AlbumClass| {
            let known = before.iter().find(|known| known.name == class.name && known.pictures == class.pictures);
            TaughtClass {
                in_middle: known.and_then(|known| known.in_middle),
                by_background: known.and_then(|known| known.by_background),
                name: class.name,
                pictures: class.pictures,
                thumbnail: class.thumbnail,
            }
        };
        view.classes = pupil.classes().into_iter().map(class).collect();
    }
}
