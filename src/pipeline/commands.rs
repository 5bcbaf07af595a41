//! The viewer's commands.

use std::sync::atomic::Ordering;

use super::control::Change;
use super::item::Status;
use super::output_stage::{OutputStage, Pause};
use super::snapshot;
use super::teaching::Teacher;
use crate::error::Result;
use crate::explain::{Explanation, ExplanationContext};
use crate::media::Frame;
use crate::screen::ViewerCommand;
use crate::sink::Flow;

impl OutputStage<'_> {
    /// Carries out the viewer's commands and updates the screen between explained frames.
    pub fn steer(&mut self) -> Result<Flow> {
        if self.outputs.screen.is_none() {
            return Ok(Flow::Continue);
        }
        self.show_newest()?;
        self.read_status();
        self.show_stall();
        let commands = self.outputs.screen.as_mut().map_or_else(|| Ok(Vec::new()), |live| live.screen.poll())?;
        let redraw = !commands.is_empty();
        for command in commands {
            if self.obey(command)? == Flow::Stop {
                return Ok(Flow::Stop);
            }
        }
        if redraw {
            self.show_held()?;
        }
        Ok(Flow::Continue)
    }

    fn obey(&mut self, command: ViewerCommand) -> Result<Flow> {
        match command {
            ViewerCommand::Quit => return Ok(Flow::Stop),
            ViewerCommand::NextMethod => self.request(Change::NextMethod),
            ViewerCommand::Method(name) => self.request(Change::Method(name)),
            ViewerCommand::NextLayer => self.request(Change::NextLayer),
            ViewerCommand::Layer(name) => self.request(Change::Layer(name)),
            ViewerCommand::ListLayers => self.request(Change::ListLayers),
            ViewerCommand::Class(class) => self.request(Change::Class(class)),
            ViewerCommand::Reset => self.reset(),
            ViewerCommand::NextColormap
            | ViewerCommand::Colormap(_)
            | ViewerCommand::NextBlend
            | ViewerCommand::Blend(_)
            | ViewerCommand::AlphaStep(_)
            | ViewerCommand::Alpha(_) => self.change_style(command)?,
            // The number keys teach.
            ViewerCommand::Explain(Some(_)) | ViewerCommand::TakeReference(_) if self.teacher.is_some() => {}
            ViewerCommand::Explain(rank) => self.explain_rank(rank),
            ViewerCommand::NextObject => self.explain_next_object(),
            ViewerCommand::TakeReference(number) => self.take_reference(number),
            ViewerCommand::Words(words) => match &self.teacher {
                Some(teacher) => teacher.rename(&words),
                None => self.request(Change::Words(words)),
            },
            ViewerCommand::Number { number, down } => self.teach_number(number, down),
            ViewerCommand::Teach if self.composer.lanes() > 1 => self.tell("classes are taught from one source"),
            ViewerCommand::Teach => self.begin_teaching(),
            ViewerCommand::UndoTaught | ViewerCommand::ForgetTaught | ViewerCommand::ToggleEvidence => {
                self.steer_teacher(&command);
            }
            ViewerCommand::Fluid(on) => self.set_fluid(on),
            ViewerCommand::SideBySide(on) => self.composer.side_by_side = on.unwrap_or(!self.composer.side_by_side),
            ViewerCommand::Snapshot => self.snapshot = true,
            ViewerCommand::Pause => self.toggle_pause(),
            ViewerCommand::Record => self.toggle_recording(),
            ViewerCommand::Redraw | ViewerCommand::Watched => {}
        }
        Ok(Flow::Continue)
    }

    fn request(&self, change: Change) {
        let _ = self.channels.changes.send(change);
    }

    fn change_style(&mut self, command: ViewerCommand) -> Result<()> {
        let Some(live) = &mut self.outputs.screen else { return Ok(()) };
        let overlay = &mut live.overlay;
        let message = match command {
            ViewerCommand::NextColormap => overlay.next_colormap()?.to_owned(),
            ViewerCommand::Colormap(name) => match overlay.set_colormap(&name) {
                Ok(()) => name,
                Err(error) => error.to_string(),
            },
            ViewerCommand::NextBlend => overlay.next_blend().to_owned(),
            ViewerCommand::Blend(blend) => {
                overlay.set_blend(blend);
                blend.name().to_owned()
            }
            ViewerCommand::AlphaStep(step) => {
                overlay.set_alpha(overlay.style().alpha + step);
                format!("opacity {:.0} %", 100.0 * overlay.style().alpha)
            }
            ViewerCommand::Alpha(alpha) => {
                overlay.set_alpha(alpha);
                String::new()
            }
            _ => String::new(),
        };
        if !message.is_empty() {
            live.screen.tell(&message);
        }
        Ok(())
    }

    fn set_fluid(&mut self, on: Option<bool>) {
        if self.composer.lanes() > 1 {
            return self.tell("the fluid view is for one source");
        }
        let fluid = &self.channels.fluid;
        let on = on.unwrap_or(!fluid.load(Ordering::Relaxed));
        fluid.store(on, Ordering::Relaxed);
        self.tell(if on { "fluid: every frame with the latest map" } else { "aligned: each frame with its map" });
    }

    /// Goes back to how the run began, except that what was taught stays.
    fn reset(&mut self) {
        self.request(Change::Reset);
        self.pause = Pause::Off;
        self.composer.side_by_side = false;
        self.channels.fluid.store(false, Ordering::Relaxed);
        if let Some(live) = &mut self.outputs.screen {
            if let Some(style) = &self.first_style {
                live.overlay.set_style(style.clone());
            }
            live.screen.reset();
        }
    }

    pub(super) fn take_snapshot(
        &mut self,
        frame: &Frame,
        explanation: &Explanation,
        context: &ExplanationContext,
    ) -> Result<()> {
        let Some(live) = &mut self.outputs.screen else { return Ok(()) };
        let mut drawn = frame.clone();
        live.overlay.draw(&mut drawn, explanation, context)?;
        match snapshot::take(frame, &drawn.picture, explanation, context) {
            Ok(name) => live.screen.tell(&format!("written: {}", name.display())),
            Err(error) => live.screen.tell(&error.to_string()),
        }
        Ok(())
    }

    /// Explains the class at a rank of the latest prediction, or the predicted class from frame to frame.
    fn explain_rank(&mut self, rank: Option<usize>) {
        if let Some(objects) = self.objects() {
            let Some(rank) = rank else { return self.request(Change::Object(None)) };
            return match objects.iter().find(|(number, _)| *number == rank + 1) {
                Some((_, object)) => self.request(Change::Object(Some(*object))),
                None => self.tell("no object has this number"),
            };
        }
        let Some(rank) = rank else { return self.request(Change::Class(None)) };
        let choices = self.latest.as_ref().map(|latest| latest.explanation.prediction.choices()).unwrap_or_default();
        match choices.get(rank) {
            Some(class) => self.request(Change::Class(Some(*class))),
            None => self.tell("the list has fewer classes"),
        }
    }

    /// Explains the object with the next number, and all objects after the last one.
    fn explain_next_object(&mut self) {
        let Some(objects) = self.objects() else { return self.tell("the model finds no objects") };
        let found = self.latest.as_ref().and_then(|latest| latest.explanation.detections());
        let chosen = found.and_then(|found| found.detections.get(found.chosen?)?.number).unwrap_or(0);
        let next = objects.iter().find(|(number, _)| *number > chosen).map(|(_, object)| *object);
        self.request(Change::Object(next));
    }

    /// Makes the latest picture a reference of an embedding. Other models have none.
    fn take_reference(&mut self, number: usize) {
        if let Some(picture) = self.latest.as_ref().and_then(|latest| latest.picture.clone()) {
            self.request(Change::Reference { number, picture });
        }
    }

    /// The objects that the latest explanation shows, by their numbers; `None` for another task than detection.
    fn objects(&self) -> Option<Vec<(usize, u64)>> {
        let found = self.latest.as_ref()?.explanation.detections()?;
        let numbered = found.detections.iter().filter_map(|object| Some((object.number?, object.object?)));
        let mut objects: Vec<(usize, u64)> = numbered.collect();
        objects.sort_unstable();
        Some(objects)
    }

    /// Starts the learning thread, unless it runs.
    pub(super) fn begin_teaching(&mut self) {
        let Some(live) = self.outputs.screen.as_ref().filter(|_| self.teacher.is_none()) else { return };
        let (options, request) = ((live.teaching.options)(), live.teaching.request.clone());
        let (changes, reports) = (self.channels.changes.clone(), self.channels.reports.clone());
        self.teacher = Some(Teacher::start(options, request, changes, reports));
        self.tell("reading the model that is taught …");
    }

    fn teach_number(&mut self, number: usize, down: bool) {
        let Some(teacher) = &mut self.teacher else { return };
        teacher.number(number, down, self.latest.as_ref().and_then(|latest| latest.picture.as_ref()));
    }

    fn steer_teacher(&mut self, command: &ViewerCommand) {
        let Some(teacher) = &mut self.teacher else { return self.tell("N begins to teach classes") };
        match command {
            ViewerCommand::UndoTaught => teacher.undo(),
            ViewerCommand::ForgetTaught => {
                teacher.forget_next();
                self.tell("press the number of the class to forget");
            }
            _ => {
                if teacher.toggle_evidence() {
                    self.tell("checking the backgrounds …");
                }
            }
        }
    }

    fn toggle_pause(&mut self) {
        self.pause = if matches!(self.pause, Pause::Off) { Pause::AtNextFrame } else { Pause::Off };
    }

    fn toggle_recording(&mut self) {
        if self.composer.lanes() > 1 {
            return self.tell("a recording has one source");
        }
        let Some(live) = &mut self.outputs.screen else { return };
        if let Some(message) = self.recording.toggle(live.record) {
            live.screen.tell(&message);
        }
    }

    fn read_status(&mut self) {
        while let Ok(status) = self.channels.status.try_recv() {
            match status {
                Status::Message(message) => self.tell(&message),
                Status::Request(request) => {
                    if let Some(teacher) = &self.teacher {
                        teacher.set_request(*request);
                    }
                }
                Status::Class(class) => self.class = class,
                Status::Layers(layers) => {
                    if let Some(live) = &mut self.outputs.screen {
                        live.screen.offer_layers(&layers);
                    }
                }
                Status::Interrupted(why) => self.stall.set_interruption(why),
            }
        }
    }

    fn show_stall(&mut self) {
        let captured = self.captured();
        if let Some(live) = &mut self.outputs.screen
            && let Some(why) = self.stall.new_stall(captured)
        {
            live.screen.wait(why);
        }
    }

    pub(super) fn tell(&mut self, message: &str) {
        if let Some(live) = &mut self.outputs.screen {
            live.screen.tell(message);
        }
    }
}
