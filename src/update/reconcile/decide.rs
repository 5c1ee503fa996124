//! What operators ask and decide.

use super::{Output, Reconciler};
use crate::ask::{Ask, AskId, Command, Reply};
use crate::next::View;
use crate::record::{Desired, Installed};
use tinsmith_lwm2m::{Endpoint, Now, PersistId};

impl Reconciler {
    /// An operator asks something; answered by [`Output::Answer`].
    pub fn ask(&mut self, now: Now, id: AskId, endpoint: &Endpoint, ask: Ask) {
        let (reply, after) = match ask {
            Ask::Decide(command) => match self.unreadable.get(endpoint) {
                Some(reason) => (Reply::Unreadable(reason.clone()), None),
                None if command == Command::Rollback && self.previous(endpoint).is_none() => {
                    (Reply::NoPrevious, None)
                }
                None => (Reply::Stored, self.command(now, endpoint, command)),
            },
            Ask::Delete => (Reply::Stored, Some(self.delete(endpoint))),
            Ask::Status => (Reply::Status(self.status(endpoint).map(Box::new)), None),
        };
        self.output.push_back(Output::Answer(id, reply, after));
    }

    fn previous(&self, endpoint: &Endpoint) -> Option<Installed> {
        self.devices.get(endpoint)?.record.previous()
    }

    /// An operator decided. The decision holds once the batch that is named is durable; none is
    /// made about a device whose record can't be read, nor is it rolled back to nothing.
    pub fn command(
        &mut self,
        now: Now,
        endpoint: &Endpoint,
        command: Command,
    ) -> Option<PersistId> {
        if self.unreadable.contains_key(endpoint) {
            return None;
        }
        let previous = self.previous(endpoint);
        if command == Command::Rollback && previous.is_none() {
            return None;
        }
        let device = self.devices.entry(endpoint.clone()).or_default();
        let record = &mut device.record;
        record.recall();
        let generation = record
            .desired
            .as_ref()
            .map(|d| d.generation)
            .into_iter()
            .chain(record.last.as_ref().map(|l| l.generation))
            .max()
            .unwrap_or(0)
            + 1;
        match command {
            Command::Want {
                model,
                version,
                source,
                trial_s,
            } => {
                record.note(now.wall, format!("wanted: {model} {version}"));
                let since = now.wall;
                record.desired = Some(Box::new(Desired {
                    model,
                    version,
                    source,
                    generation,
                    since,
                    trial_s,
                    artefact: None,
                }));
            }
            Command::Rollback => {
                if let Some(before) = previous {
                    let Installed { model, version, .. } = &before;
                    record.note(now.wall, format!("rolled back to {model} {version}"));
                    record.desired = Some(Box::new(Desired {
                        model: before.model,
                        version: before.version,
                        source: before.source,
                        generation,
                        since: now.wall,
                        trial_s: before.trial_s,
                        artefact: before.artefact,
                    }));
                }
            }
            Command::Forget => {
                record.note(now.wall, "nothing is wanted any more");
                record.desired = None;
            }
            Command::Retry => {
                record.note(now.wall, "asked to try again");
                if let Some(desired) = &mut record.desired {
                    desired.generation = generation;
                }
            }
        }
        record.attempt = None;
        device.dirty = true;
        device.set_body(None);
        device.set_progress(None);
        device.view = View {
            observed: device.view.observed,
            ..View::default()
        };
        device.strikes = 0;
        if let Some(job) = device.job.take() {
            self.jobs.remove(&job);
        }
        self.forget_request(endpoint);
        self.unpause(endpoint);
        if let Some(device) = self.devices.get_mut(endpoint) {
            device.storing = None;
            // A decision that leaves nothing to keep is stored too.
            device.on_disk = true;
        }
        self.store(endpoint);
        let stored = self.devices.get(endpoint).and_then(|device| device.storing);
        self.advance(now, endpoint);
        stored
    }
}
