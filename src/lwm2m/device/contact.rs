//! What is the same in all states of a device: who it is, how it is reached and what waits for it.

use tinsmith_coap::Output as CoapOutput;

use crate::entry::Entry;
use crate::job::{Job, Queue};
use crate::link::Link;
use crate::shared::Context;
use crate::types::{Endpoint, Outcome};

pub(crate) struct Contact {
    pub(crate) entry: Entry,
    pub(crate) link: Link,
    pub(crate) queue: Queue,
}

impl Contact {
    pub(crate) fn new(entry: Entry, link: Link) -> Self {
        Contact {
            entry,
            link,
            queue: Queue::default(),
        }
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.entry.registration.endpoint
    }

    pub(super) fn enqueue(&mut self, cx: &mut Context<'_>, job: Job) {
        if self.queue.len() >= cx.limits.queue {
            let outcome = Outcome::Cancelled("too many requests wait for the device".into());
            job.finish(cx, self.endpoint().clone(), outcome);
        } else {
            self.queue.push(job);
        }
    }

    pub(super) fn expire_requests(&mut self, cx: &mut Context<'_>) {
        while let Some(job) = self.queue.expired(cx.now) {
            job.finish(cx, self.endpoint().clone(), Outcome::Expired);
        }
    }

    /// Sends what the CoAP state asks for, while nothing is asked of the device.
    pub(super) fn pump(&mut self, cx: &mut Context<'_>) {
        self.expire_requests(cx);
        while let Some(output) = self.link.coap.poll(cx.at(), cx.buffer) {
            if let CoapOutput::Transmit(len) = output {
                self.link.pass(cx, len);
            }
        }
    }

    /// Monotonic, ms.
    pub(super) fn next_deadline(&self) -> u64 {
        let coap = self.link.coap.next_deadline().map(|at| at.as_millis());
        let others = [coap, self.queue.next_deadline()];
        let expires = self.entry.expires;
        others.into_iter().flatten().fold(expires, u64::min)
    }
}
