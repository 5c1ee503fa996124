//! Observations: kept, ordered, restored (RFC 7641).

use lwm2m_objects::model::Builtin;
use lwm2m_objects::{ContentFormat, Path, format};
use tinsmith_coap::observe::Freshness;
use tinsmith_coap::{Message, Token};

use super::device::{Context, Device};
use super::exchange::{Job, Keep};
use super::types::{Event, Operation};

pub(super) struct Observation {
    pub(super) token: Token,
    pub(super) path: Path,
    /// As in the request that started it.
    pub(super) accept: Option<ContentFormat>,
    /// `None` after a restart: the next notification counts as newer.
    pub(super) freshness: Option<Freshness>,
}

/// How long the rest of a long notification may take, in milliseconds.
const REST: u64 = 120_000;

impl Device {
    pub(super) fn add_observation(&mut self, cx: &mut Context<'_>, new: Observation) {
        self.observations.retain(|o| o.path != new.path);
        if self.observations.len() >= cx.limits.observations {
            let path = self.observations.remove(0).path;
            self.observation_ended(cx, path, None);
        }
        self.observations.push(new);
        self.dirty = true;
    }

    fn observation_ended(&self, cx: &mut Context<'_>, path: Path, code: Option<u8>) {
        let endpoint = self.endpoint().clone();
        cx.event(Event::ObservationEnded {
            endpoint,
            path,
            code,
        });
    }

    /// Takes a notification. False if nobody asked for it: the device is told to stop.
    pub(super) fn notified(
        &mut self,
        cx: &mut Context<'_>,
        token: Token,
        message: &Message<'_>,
    ) -> bool {
        if self
            .open
            .as_ref()
            .is_some_and(|o| o.observing() == Some(token))
        {
            // A newer value while the first is still being fetched; the next one will tell.
            return true;
        }
        let Some(at) = self.observations.iter().position(|o| o.token == token) else {
            return false;
        };
        if !message.code().is_success() {
            // RFC 7641 §4.2: an error ends the observation.
            let path = self.observations.remove(at).path;
            self.dirty = true;
            self.observation_ended(cx, path, Some(message.code().byte()));
            return true;
        }
        let observation = &mut self.observations[at];
        let path = observation.path;
        if let Some(sequence) = message.observe() {
            match &mut observation.freshness {
                Some(freshness) => {
                    if !freshness.accept(cx.at(), sequence) {
                        return true;
                    }
                }
                none => *none = Some(Freshness::new(cx.at(), sequence)),
            }
        }
        let more = matches!(message.block2(), Ok(Some(block)) if block.more);
        if more {
            let is_fetch = |job: &Job| job.id.is_none() && *job.path() == path;
            let fetching = self.queue.iter().any(is_fetch)
                || self.open.as_ref().is_some_and(|o| is_fetch(&o.job));
            if !fetching && self.queue.len() < cx.limits.queue {
                let deadline = cx.now.mono.saturating_add(REST);
                self.queue.push_front(Job {
                    id: None,
                    operation: Operation::Read { path },
                    deadline,
                    keep: Keep::No,
                });
            }
            return true;
        }
        let content = content_format(message.content_format(), &path);
        // What can't be decoded is dropped; the observation lives on.
        if let Ok(values) = format::decode_all(content, &path, message.payload(), &Builtin) {
            let endpoint = self.endpoint().clone();
            cx.event(Event::Notified {
                endpoint,
                path,
                values,
            });
        }
        true
    }
}

/// The format of an answer; some devices leave the option out of single values.
pub(super) fn content_format(option: Option<u16>, path: &Path) -> ContentFormat {
    match option {
        Some(number) => ContentFormat(number),
        None if path.depth() >= 3 => ContentFormat::TEXT,
        None => ContentFormat::TLV,
    }
}
