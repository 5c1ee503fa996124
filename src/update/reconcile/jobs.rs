//! What the build service is asked for, and what it gives.

use super::{Output, Reconciler};
use crate::record::Step;
use tinsmith_lwm2m::{Body, Endpoint, Now};
use tinsmith_order::{Job, JobId, JobResult, Package, Unbuilt};

impl Reconciler {
    pub(super) fn start(&mut self, endpoint: &Endpoint, job: Job) {
        let Some(device) = self.devices.get_mut(endpoint) else {
            return;
        };
        self.count += 1;
        let id = JobId(self.count);
        device.job = Some(id);
        self.jobs.insert(id, endpoint.clone());
        self.output
            .push_back(Output::Job(endpoint.clone(), id, job));
    }

    /// A job ended.
    pub fn job_done(&mut self, now: Now, id: JobId, result: JobResult) {
        let Some(endpoint) = self.jobs.remove(&id) else {
            return;
        };
        let Some(device) = self.devices.get_mut(&endpoint) else {
            return;
        };
        if device.job != Some(id) {
            return;
        }
        device.job = None;
        let result = match result {
            JobResult::Anchors(result) => {
                self.anchors_packaged(now, &endpoint, result);
                return self.advance(now, &endpoint);
            }
            result => result,
        };
        let Some(attempt) = &mut device.record.attempt else {
            return;
        };
        match result {
            JobResult::Built(Ok(artefact)) => {
                attempt.step = Step::Preparing;
                let text = format!(
                    "built {} ({} B, arena {} B{})",
                    artefact.module.short(),
                    artefact.module_bytes,
                    artefact.arena_bytes,
                    if artefact.cached { ", cached" } else { "" }
                );
                attempt.artefact = Some(artefact);
                device.record.note(now.wall, text);
                device.dirty = true;
            }
            // From the build on: the module may be gone.
            JobResult::Built(Err(Unbuilt::Later { reason }))
            | JobResult::Packaged(Err(Unbuilt::Later { reason })) => {
                tracing::debug!(%endpoint, reason, "no module yet");
                attempt.artefact = None;
                self.wait(now, &endpoint, super::PAUSE);
            }
            JobResult::Built(Err(failure)) => self.finish(now, &endpoint, Some(failure.into())),
            JobResult::Packaged(Ok(Package {
                digest,
                head,
                module,
            })) => {
                let body = Body::new(head, module);
                let package = (digest, body.len() as u32);
                device.dirty |= attempt.package != Some(package);
                attempt.package = Some(package);
                device.set_body(device.online.then_some(body));
            }
            JobResult::Packaged(Err(failure)) => self.finish(now, &endpoint, Some(failure.into())),
            JobResult::Anchors(_) => {}
        }
        self.advance(now, &endpoint);
    }
}
