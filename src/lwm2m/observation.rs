//! Observations of a device: kept, ordered, restored (RFC 7641).

use lwm2m_objects::ContentFormat;
use tinsmith_coap::observe::Freshness;
use tinsmith_coap::{Instant, Message, Token};

use super::content::{content_format, decode};
use super::models::Models;
use super::target::{PathValue, Target};
use super::types::Now;

pub(super) struct Observation {
    pub(super) token: Token,
    pub(super) target: Target,
    /// As in the request that started it.
    pub(super) accept: Option<ContentFormat>,
    /// `None` after a restart: the next notification counts as newer.
    pub(super) freshness: Option<Freshness>,
}

/// What a notification tells.
pub(super) enum Notified {
    /// Nobody asked for it.
    Unknown,
    /// Nothing that is new.
    Nothing,
    Values(Target, Vec<PathValue>),
    /// What can't be read, and why; the observation lives on.
    Unreadable(Target, String),
    /// More than fits into a datagram.
    Long(Target),
    /// An error, by its code: it ends the observation (RFC 7641 §4.2).
    Ended(Target, u8),
}

/// The oldest first.
#[derive(Default)]
pub(super) struct Observations(Vec<Observation>);

impl Observations {
    pub(super) fn iter(&self) -> impl Iterator<Item = &Observation> {
        self.0.iter()
    }

    /// True if a notification with this token belongs here.
    pub(super) fn owns(&self, token: Token) -> bool {
        self.0.iter().any(|o| o.token == token)
    }

    /// What is observed with a token.
    pub(super) fn target(&self, token: Token) -> Option<Target> {
        let its = self.0.iter().find(|o| o.token == token)?;
        Some(its.target.clone())
    }

    /// Adds one, in place of that of the same target or, above the limit, of the oldest, whose
    /// target comes back.
    pub(super) fn add(&mut self, new: Observation, limit: usize) -> Option<Target> {
        self.0.retain(|o| o.target != new.target);
        let oldest = (self.0.len() >= limit && limit > 0).then(|| self.0.remove(0).target);
        self.0.push(new);
        oldest
    }

    /// Takes one out.
    pub(super) fn remove(&mut self, target: &Target) -> Option<Observation> {
        let at = self.0.iter().position(|o| o.target == *target)?;
        Some(self.0.remove(at))
    }

    /// Takes a notification.
    pub(super) fn notified(
        &mut self,
        now: Now,
        token: Token,
        message: &Message<'_>,
        models: &Models,
    ) -> Notified {
        let Some(at) = self.0.iter().position(|o| o.token == token) else {
            return Notified::Unknown;
        };
        if !message.code().is_success() {
            return Notified::Ended(self.0.remove(at).target, message.code().byte());
        }
        let observation = &mut self.0[at];
        if let Some(sequence) = message.observe() {
            let at = Instant::from_millis(now.mono);
            match &mut observation.freshness {
                Some(freshness) => {
                    if !freshness.accept(at, sequence) {
                        return Notified::Nothing;
                    }
                }
                none => *none = Some(Freshness::new(at, sequence)),
            }
        }
        let target = observation.target.clone();
        if matches!(message.block2(), Ok(Some(block)) if block.more) {
            return Notified::Long(target);
        }
        let Some(path) = target.path() else {
            return Notified::Nothing;
        };
        let format = content_format(message.content_format(), path);
        match decode(now, format, path, message.payload(), models) {
            Ok(values) => Notified::Values(target, values),
            Err(error) => Notified::Unreadable(target, format!("{format}: {error}")),
        }
    }
}

impl FromIterator<Observation> for Observations {
    fn from_iter<I: IntoIterator<Item = Observation>>(list: I) -> Self {
        Observations(list.into_iter().collect())
    }
}
