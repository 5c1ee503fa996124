//! The reconciler as the brain of a shard.

use serde::{Deserialize, Serialize};

use super::reconcile::{Command, Job, JobId, JobResult, Output, Reconciler};
use super::status::{Status, Summary};
use crate::lwm2m::{Endpoint, Event, Now, PersistId};
use crate::server::{Brain, BrainOutput, CommandId};
use crate::store::{Key, Kind, StoreError, Stored, Version};

/// What operators ask.
#[derive(Clone, Debug)]
pub enum Ask {
    /// Decide something about a device; answered with [`Reply::Stored`] when it is durable.
    Decide(Command),
    /// How does the device stand?
    Status,
    /// How do all devices of the shard stand?
    All,
}

/// What they get.
#[derive(Clone, Debug)]
pub enum Reply {
    /// The decision is durable.
    Stored,
    /// One device; `None` if it was never seen and nothing is wanted of it.
    Status(Option<Box<Status>>),
    /// All devices of the shard.
    All(Vec<(Endpoint, Status)>),
}

/// A job and who wants it.
#[derive(Debug)]
pub struct BuildRequest {
    /// The device.
    pub endpoint: Endpoint,
    /// Comes back with the result.
    pub id: JobId,
    /// What to do.
    pub job: Job,
}

/// Where a device stands now, for the event stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// The device.
    pub endpoint: String,
    /// In a word.
    pub summary: Summary,
    /// In a sentence.
    pub detail: String,
    /// Acknowledged and all bytes of the package that is being sent.
    pub progress: Option<(u32, u32)>,
}

impl Brain for Reconciler {
    type Command = Ask;
    type Reply = Reply;
    type Build = BuildRequest;
    type Built = (JobId, JobResult);
    type Report = Change;

    const KINDS: &'static [Kind] = &[Kind::DEVICE];

    fn restore(&mut self, _: Now, records: Vec<(Key, Stored)>) {
        for (key, stored) in records {
            let endpoint = String::from_utf8_lossy(&key.id);
            if let Err(error) = Reconciler::restore(self, &endpoint, &stored.bytes) {
                tracing::warn!(%endpoint, %error, "the record of a device can't be read");
            }
        }
    }

    fn owner(key: &Key, _: &Stored) -> Option<Endpoint> {
        std::str::from_utf8(&key.id).ok().map(Endpoint::from)
    }

    fn handle_event(&mut self, now: Now, event: &Event) {
        self.event(now, event);
    }

    fn handle_command(&mut self, now: Now, id: CommandId, endpoint: &Endpoint, ask: Ask) {
        let (reply, after) = match ask {
            Ask::Decide(command) => (Reply::Stored, self.command(now, endpoint, command)),
            Ask::Status => (Reply::Status(self.status(endpoint).map(Box::new)), None),
            Ask::All => {
                let endpoints = self.endpoints();
                let all = endpoints.filter_map(|e| Some((e.clone(), self.status(e)?)));
                (Reply::All(all.collect()), None)
            }
        };
        self.answer(id, reply, after);
    }

    fn handle_build_result(&mut self, now: Now, (id, result): Self::Built) {
        self.job_done(now, id, result);
    }

    fn handle_persisted(&mut self, now: Now, id: PersistId, result: Result<Version, StoreError>) {
        match result {
            Ok(_) => self.persisted(now, id),
            Err(error) => {
                tracing::warn!(%error, "a device record could not be stored");
                self.persist_failed(now, id);
            }
        }
    }

    fn handle_timeout(&mut self, now: Now) {
        self.tick(now);
    }

    fn poll_output(&mut self) -> Option<BrainOutput<Self>> {
        Some(match self.poll()? {
            Output::Request(request) => BrainOutput::Request { request, after: None },
            Output::Withdraw(endpoint, id) => BrainOutput::Withdraw(endpoint, id),
            Output::Persist(id, batch) => BrainOutput::Persist(id, batch),
            Output::Job(endpoint, id, job) => {
                BrainOutput::Build(BuildRequest { endpoint, id, job })
            }
            Output::Answer(id, reply, after) => BrainOutput::Answer { id, reply, after },
            Output::Changed(endpoint) => {
                let status = self.status(&endpoint)?;
                BrainOutput::Report(Change {
                    endpoint: endpoint.to_string(),
                    summary: status.summary,
                    detail: status.detail,
                    progress: status.progress,
                })
            }
        })
    }

    fn next_deadline(&self) -> Option<u64> {
        Reconciler::next_deadline(self)
    }
}
