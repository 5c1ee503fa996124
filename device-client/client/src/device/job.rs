//! What runs in the arena, in steps: between two of them the client handles datagrams and the shell
//! feeds its watchdog.

use core::task::Poll;

use tinsmith_coap::Code;
use tinsmith_module::{Class, Runner, SelfTest, SelfTestError};

use super::engine::{Arena, Job, Work};
use super::{Device, Finished};
use crate::handler::{Done, Ticket};
use crate::platform::{Now, Platform};
use crate::update::slot::ModelResult;

enum End {
    /// The outcome, none if it could not run, and microseconds.
    Inference(Option<Option<Class>>, u64),
    SelfTest(ModelResult),
}

impl Device<'_> {
    /// Begins an inference on the input in the arena, which is lost.
    pub(crate) fn start_inference(&mut self, ticket: Ticket) -> Result<Done, Code> {
        if self.is_busy() {
            return Err(Code::SERVICE_UNAVAILABLE);
        }
        let slot = self.update.state.running();
        let ready = self.engine.enabled && self.engine.content == Arena::Input;
        // Only the same input written once more is an input again.
        self.forget_input();
        let slot = slot.filter(|_| ready).ok_or(Code::METHOD_NOT_ALLOWED)?;
        self.start_job(slot, Some(ticket), Work::Inference(Runner::new(), 0));
        Ok(Done::Later)
    }

    /// Begins the golden inputs of the module in a slot; what is in the arena is lost.
    pub(crate) fn start_self_test(&mut self, slot: u8, ticket: Option<Ticket>) {
        self.forget_input();
        self.engine.content = Arena::Undefined;
        self.engine.states_of = None;
        self.start_job(slot, ticket, Work::SelfTest(SelfTest::new()));
    }

    fn start_job(&mut self, slot: u8, ticket: Option<Ticket>, work: Work) {
        let entry = self.update.state.slots.get(usize::from(slot));
        self.engine.job = Some(Job {
            slot,
            sequence: entry.map_or(0, |s| s.sequence),
            ticket,
            work,
        });
    }

    /// The arena is taken, or about to be.
    pub(crate) fn is_busy(&self) -> bool {
        self.engine.job.is_some() || self.update.self_test_due.is_some()
    }

    /// What runs is of no use any more.
    pub(crate) fn stop_job(&mut self) {
        if let Some(job) = self.engine.job.take() {
            self.finished(job.ticket, Err(Code::SERVICE_UNAVAILABLE), false);
        }
    }

    pub(crate) fn finished(
        &mut self,
        ticket: Option<Ticket>,
        result: Result<(), Code>,
        stored: bool,
    ) {
        if let Some(ticket) = ticket {
            self.wishes.finished = Some(Finished {
                ticket,
                result,
                stored,
            });
        }
    }

    /// Runs the next step of what runs in the arena.
    pub(crate) fn step_job(&mut self, now: Now, platform: &dyn Platform) {
        let Some(Job { slot, sequence, .. }) = self.engine.job else {
            return;
        };
        let entry = self.update.state.slots.get(usize::from(slot));
        if !entry.is_some_and(|s| s.state.holds_module() && s.sequence == sequence) {
            self.update.self_test_due.take_if(|due| *due == slot);
            self.stop_job();
            return;
        }
        let module = self.module_in(slot, platform);
        let budget = self.facts.step();
        let Some(job) = &mut self.engine.job else {
            return;
        };
        let arena = &mut *self.engine.arena;
        let states_of = &mut self.engine.states_of;
        let end = match &mut job.work {
            Work::Inference(runner, micros) => {
                let begin = platform.micros();
                let run = module.map(|m| {
                    if states_of.replace(sequence) != Some(sequence) {
                        m.reset(arena)?;
                    }
                    runner.step(&m, arena, budget, None)
                });
                *micros += platform.micros().saturating_sub(begin);
                match run {
                    Some(Ok(Poll::Pending)) => return,
                    Some(Ok(Poll::Ready(class))) => End::Inference(Some(class), *micros),
                    Some(Err(_)) | None => End::Inference(None, *micros),
                }
            }
            Work::SelfTest(test) => match module.map(|m| test.step(&m, arena, budget)) {
                Some(Poll::Pending) => return,
                Some(Poll::Ready(Ok(()))) => End::SelfTest(ModelResult::Success),
                Some(Poll::Ready(Err(SelfTestError::Run(_)))) => End::SelfTest(ModelResult::Fault),
                Some(Poll::Ready(Err(_))) => End::SelfTest(ModelResult::SelfTest),
                // What was checked is no module any more.
                None => End::SelfTest(ModelResult::Unsupported),
            },
        };
        let (slot, ticket) = (job.slot, job.ticket);
        self.engine.job = None;
        match end {
            End::Inference(outcome, micros) => {
                let code = outcome.map(|_| ()).ok_or(Code::INTERNAL_SERVER_ERROR);
                self.inference_ended(now, outcome, micros);
                self.finished(ticket, code, false);
            }
            End::SelfTest(outcome) => {
                self.self_test_ended(slot, outcome);
                self.finished(ticket, Ok(()), true);
            }
        }
    }

    fn inference_ended(&mut self, now: Now, class: Option<Option<Class>>, micros: u64) {
        let (wall, known) = (self.wall(now), now.wall != 0 || self.wall_offset != 0);
        let engine = &mut self.engine;
        let statistics = &mut engine.statistics;
        self.log.changed();
        let Some(class) = class else {
            statistics.errors += 1;
            engine.content = Arena::Undefined;
            return;
        };
        statistics.count += 1;
        statistics.latency_last = micros;
        statistics.latency_max = statistics.latency_max.max(micros);
        if let Some(n) = class.and_then(|c| statistics.histogram.get_mut(c.index as usize)) {
            *n = n.saturating_add(1);
        }
        engine.class = class;
        engine.content = Arena::Output;
        if known {
            engine.timestamp = wall;
        }
    }

    /// /27303/x/8 shows the outcome; a module on trial that fails is FAILED, and one whose server
    /// relies on us is committed if it passes.
    fn self_test_ended(&mut self, slot: u8, result: ModelResult) {
        let begins_trial = self.update.self_test_due.take() == Some(slot);
        let on_trial = self.update.state.trial() == Some(slot);
        if let Some(entry) = self.update.state.slots.get_mut(usize::from(slot)) {
            entry.result = result;
            // A server that says no trial time knows nothing of 27303.
            let commits_itself = begins_trial && entry.trial_s == 0;
            if result != ModelResult::Success && on_trial {
                let _ = self.update.state.fail(slot, result);
                self.trial_ended();
            } else if on_trial && (commits_itself || self.update.commit_asked.is_some()) {
                let _ = self.update.state.commit(slot);
                self.update.trial_deadline = None;
                let asked = self.update.commit_asked.take();
                self.finished(asked, Ok(()), true);
            }
        }
        self.update_changed();
    }
}
