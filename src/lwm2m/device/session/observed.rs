//! What a device notifies.

use tinsmith_coap::{Message, Token};

use super::Session;
use crate::job::Job;
use crate::observation::Notified;
use crate::shared::Context;
use crate::target::Target;
use crate::types::Event;

impl Session {
    /// Takes a notification. False if nobody asked for it: the device is told to stop.
    pub(in crate::device) fn notified(
        &mut self,
        cx: &mut Context<'_>,
        token: Token,
        message: &Message<'_>,
    ) -> bool {
        if self
            .open
            .as_deref()
            .is_some_and(|open| open.observes(token))
        {
            // A newer value while the first is still being fetched; the next one will tell.
            return true;
        }
        let models = &self.contact.entry.models;
        match self.observations.notified(cx.now, token, message, models) {
            Notified::Unknown => return false,
            Notified::Nothing => {}
            Notified::Values(target, values) => {
                let endpoint = self.endpoint().clone();
                cx.event(Event::Notified {
                    endpoint,
                    target,
                    values,
                });
            }
            Notified::Unreadable(target, error) => {
                let endpoint = self.endpoint().clone();
                cx.event(Event::Unreadable {
                    endpoint,
                    target,
                    error,
                });
            }
            Notified::Long(target) => self.read_rest(cx, target),
            Notified::Ended(target, code) => {
                self.dirty = true;
                self.observation_ended(cx, target, Some(code));
            }
        }
        true
    }

    /// Observes once more what is observed with this token, which takes the old one's place.
    pub(in crate::device) fn observe_anew(&mut self, cx: &Context<'_>, token: Token) {
        let Some(target) = self.observations.target(token) else {
            return;
        };
        let is_same = |job: &Job| job.is_again_of(&target);
        let asking = self.open.as_deref().is_some_and(|open| is_same(&open.job));
        let queue = &mut self.contact.queue;
        if !asking && !queue.iter().any(is_same) && queue.len() < cx.limits.queue {
            queue.push_front(Job::again(cx.now, target));
        }
    }

    fn read_rest(&mut self, cx: &Context<'_>, target: Target) {
        let open = self.open.as_deref().map(|open| &open.job);
        let queue = &mut self.contact.queue;
        let is_rest = |job: &Job| job.is_rest_of(&target);
        let reading = queue.iter().any(is_rest) || open.is_some_and(is_rest);
        if !reading && queue.len() < cx.limits.queue {
            queue.push_front(Job::rest(cx.now, target));
        }
    }

    pub(super) fn observation_ended(&self, cx: &mut Context<'_>, target: Target, code: Option<u8>) {
        let endpoint = self.endpoint().clone();
        cx.event(Event::ObservationEnded {
            endpoint,
            target,
            code,
        });
    }
}
