//! Observations: kept, ordered, restored (RFC 7641).

use std::collections::BTreeSet;

use lwm2m_objects::format::{self, FormatError};
use lwm2m_objects::{ContentFormat, Path};
use tinsmith_coap::observe::Freshness;
use tinsmith_coap::{Message, Token};

use super::device::Device;
use super::exchange::{Job, Keep};
use super::models::Models;
use super::shared::Context;
use super::target::{PathValue, Target};
use super::types::{Event, Now, Operation};

pub(super) struct Observation {
    pub(super) token: Token,
    pub(super) target: Target,
    /// As in the request that started it.
    pub(super) accept: Option<ContentFormat>,
    /// `None` after a restart: the next notification counts as newer.
    pub(super) freshness: Option<Freshness>,
}

/// How long the rest of a long notification may take, in milliseconds.
const REST: u64 = 120_000;

impl Device {
    pub(super) fn add_observation(&mut self, cx: &mut Context<'_>, new: Observation) {
        self.observations.retain(|o| o.target != new.target);
        if self.observations.len() >= cx.limits.observations {
            let target = self.observations.remove(0).target;
            self.observation_ended(cx, target, None);
        }
        self.observations.push(new);
        self.dirty = true;
    }

    fn observation_ended(&self, cx: &mut Context<'_>, target: Target, code: Option<u8>) {
        let endpoint = self.endpoint().clone();
        cx.event(Event::ObservationEnded {
            endpoint,
            target,
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
            let target = self.observations.remove(at).target;
            self.dirty = true;
            self.observation_ended(cx, target, Some(message.code().byte()));
            return true;
        }
        let observation = &mut self.observations[at];
        let target = observation.target.clone();
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
            let is_fetch = |job: &Job| job.id.is_none() && job.operation.target() == target;
            let fetching = self.queue.iter().any(is_fetch)
                || self.open.as_ref().is_some_and(|o| is_fetch(&o.job));
            if !fetching && self.queue.len() < cx.limits.queue {
                let deadline = cx.now.mono.saturating_add(REST);
                self.queue.push_front(Job {
                    id: None,
                    operation: Operation::read(target),
                    deadline,
                    keep: Keep::No,
                });
            }
            return true;
        }
        let Some(path) = target.path() else {
            return true;
        };
        let content = content_format(message.content_format(), path);
        // What can't be decoded is dropped; the observation lives on.
        if let Ok(values) = decode(cx.now, content, path, message.payload(), &self.models) {
            let endpoint = self.endpoint().clone();
            cx.event(Event::Notified {
                endpoint,
                target,
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

/// Times below this are relative to now (RFC 8428 §4.5.3).
const RELATIVE: f64 = (1_u64 << 28) as f64;

/// The values of a payload, with absolute times.
pub(super) fn decode(
    now: Now,
    format: ContentFormat,
    base: &Path,
    payload: &[u8],
    models: &Models,
) -> Result<Vec<PathValue>, FormatError> {
    let mut scratch = vec![0; payload.len()];
    let mut values = Vec::new();
    let mut seen = BTreeSet::new();
    let visit = &mut |record: format::Record<'_>| {
        if !seen.insert((record.path, record.time.map(f64::to_bits))) {
            return Err(FormatError::Duplicate(record.path));
        }
        let absolute = |time| match time {
            time if time < RELATIVE => now.wall as f64 / 1000.0 + time,
            time => time,
        };
        values.push(PathValue {
            path: record.path,
            value: record.value.into(),
            time: record.time.map(absolute),
        });
        Ok(())
    };
    format::decode(format, base, payload, &**models, &mut scratch, visit)?;
    Ok(values)
}
