//! The reconciler as the brain of a shard.

use super::brain::{Brain, BrainOutput, CommandId};
use crate::lwm2m::{Endpoint, Event, Now, PersistId};
use crate::store::{Key, Kind, StoreError, Stored, Version};
use crate::update::{
    Ask, AskId, BuildRequest, Change, JobId, JobResult, Output, Reconciler, Reply,
};

impl Brain for Reconciler {
    type Command = Ask;
    type Reply = Reply;
    type Build = BuildRequest;
    type Built = (JobId, JobResult);
    type Report = Change;

    const KINDS: &'static [Kind] = &[Kind::DEVICE, Kind::CAPABILITY];

    fn restore(&mut self, _: Now, records: Vec<(Key, Stored)>) {
        for (key, stored) in records {
            let endpoint = String::from_utf8_lossy(&key.id);
            let restored = match key.kind {
                Kind::CAPABILITY => self.restore_capability(&stored.bytes),
                _ => Reconciler::restore(self, &endpoint, &stored.bytes),
            };
            if let Err(error) = restored {
                tracing::warn!(kind = key.kind.0, %endpoint, %error, "a record can't be read");
            }
        }
    }

    fn owner(key: &Key, _: &Stored) -> Option<Endpoint> {
        match key.kind {
            Kind::CAPABILITY => None,
            _ => std::str::from_utf8(&key.id).ok().map(Endpoint::from),
        }
    }

    fn handle_event(&mut self, now: Now, event: &Event) {
        self.event(now, event);
    }

    fn handle_command(&mut self, now: Now, id: CommandId, endpoint: &Endpoint, ask: Ask) {
        self.ask(now, AskId(id.0), endpoint, ask);
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
            Output::Request(request) => BrainOutput::Request {
                request,
                after: None,
            },
            Output::Withdraw(endpoint, id) => BrainOutput::Withdraw(endpoint, id),
            Output::Persist(id, batch) => BrainOutput::Persist(id, batch),
            Output::Job(endpoint, id, job) => {
                BrainOutput::Build(BuildRequest { endpoint, id, job })
            }
            Output::Answer(id, reply, after) => BrainOutput::Answer {
                id: CommandId(id.0),
                reply,
                after,
            },
            Output::Changed(change) => BrainOutput::Report(change),
        })
    }

    fn next_deadline(&self) -> Option<u64> {
        Reconciler::next_deadline(self)
    }
}
