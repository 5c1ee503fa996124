//! What is stored of a device's update: enough for a restarted server to go on where it was.
//!
//! The names of fields and variants are the keys of records, and of the HTTP API. Their order is
//! that of schema 1, which had places for keys: new ones come last.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::capabilities::CapabilityDigest;
use super::firmware;
use super::slot::Slot;
use tinsmith_digest::Digest;
use tinsmith_order::{Artefact, Unbuilt};

/// The most entries in the timeline of a device.
pub(super) const TIMELINE: usize = 64;
/// Bytes of an entry, so that a record has room for all.
const TEXT: usize = 500;
/// The most entries that wait for a store that takes nothing; a multiple of a piece.
const LEFT: usize = 8 * PIECE;
/// Entries that leave the timeline together.
pub const PIECE: usize = 32;

#[allow(clippy::trivially_copy_pass_by_ref, reason = "what serde gives")]
fn is_none(pieces: &u64) -> bool {
    *pieces == 0
}

/// Everything stored of one device.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DeviceRecord {
    /// The model it shall run.
    pub desired: Option<Box<Desired>>,
    /// What it is made of, as it last said: the name of a record of its own.
    pub capability: Option<CapabilityDigest>,
    /// The slots as last read.
    pub slots: Vec<Slot>,
    /// The update under way; stored before its first datagram.
    pub attempt: Option<Box<Attempt>>,
    /// How the last one ended.
    pub last: Option<Box<Finished>>,
    /// Sequence number of the last package made for it.
    pub sequence: u64,
    /// What happened, oldest first.
    pub timeline: VecDeque<Entry>,
    /// Pieces of [history](super::history) that the timeline has left behind.
    #[serde(default, skip_serializing_if = "is_none")]
    pub pieces: u64,
    /// What has left the timeline and is in no piece yet.
    #[serde(skip)]
    pub(super) left: Vec<Entry>,
    /// What was installed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installed: Option<Box<Installed>>,
    /// What was installed before that: where a rollback goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Box<Installed>>,
}

/// The model a device shall run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Desired {
    /// Name in the zoo.
    pub model: String,
    /// Version of the model.
    pub version: String,
    /// SHA-256 of its ONNX file.
    pub source: Digest,
    /// Grows with every change of mind, so that a failure is remembered for one decision only.
    pub generation: u64,
    /// Wall time (ms) of the decision.
    pub since: u64,
    /// Seconds the device waits for a commit before it rolls back.
    pub trial_s: u32,
    /// The module itself, if it is one that the device has run before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artefact: Option<Artefact>,
}

/// A model that was installed on a device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Installed {
    /// Name in the zoo.
    pub model: String,
    /// Version of the model.
    pub version: String,
    /// SHA-256 of its ONNX file.
    pub source: Digest,
    /// Seconds of its trial.
    pub trial_s: u32,
    /// Its module, if the server built it.
    pub artefact: Option<Artefact>,
}

/// An update under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// Unique for the device.
    pub id: u64,
    /// Of [`Desired`].
    pub generation: u64,
    /// Where it stands, for people; the next step is always found by reading the device.
    pub step: Step,
    /// Wall time (ms).
    pub started: u64,
    /// Wall time (ms) after which it is given up.
    pub deadline: u64,
    /// The module, once built.
    pub artefact: Option<Artefact>,
    /// The sequence number of its package, once given.
    pub sequence: Option<u64>,
    /// SHA-256 and size of the package, once made.
    pub package: Option<(Digest, u32)>,
    /// Update Result as it was before the first block.
    pub result_before: i64,
    /// Whether a block was answered.
    pub pushed: bool,
    /// Whether Execute was accepted.
    pub executed: bool,
    /// Tries that ended in a transient failure.
    pub tries: u8,
    /// Pushes in a row that a device answered with an error before any progress.
    pub rejected: u8,
    /// Wall time (ms) of the first block.
    pub transfer_started: Option<u64>,
    /// Milliseconds from the first block to Downloaded.
    pub transfer_ms: Option<u64>,
    /// The device refused to activate what lies in its slot: it is sent again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub resend: bool,
}

/// Where an attempt stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The module is being built.
    Building,
    /// The device is being read and made ready.
    Preparing,
    /// Blocks are on their way.
    Sending,
    /// Everything arrived; the device is asked to install.
    Installing,
    /// The module runs on trial.
    Trial,
    /// The module is being taken over for good.
    Committing,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finished {
    /// Of [`Desired`].
    pub generation: u64,
    /// The device's capability at that time: after a change of it a new try makes sense.
    pub capability: CapabilityDigest,
    /// Wall time (ms).
    pub at: u64,
    /// The module.
    pub artefact: Option<Artefact>,
    /// Milliseconds from the first block to Downloaded.
    pub transfer_ms: Option<u64>,
    /// `None` after success.
    pub failure: Option<Failure>,
}

/// Why an attempt failed, and who is at fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// The server won't build or send it; nothing was sent.
    #[error("refused: {reason}")]
    Refused {
        /// What is missing.
        reason: String,
    },
    /// The compiler failed.
    #[error("the build failed: {reason}")]
    Build {
        /// What the compiler said.
        reason: String,
    },
    /// The device reported an Update Result.
    #[error("the device reports Update Result {result} ({})", firmware::fault(*result).unwrap_or("no fault"))]
    Update {
        /// /5/0/5.
        result: i64,
    },
    /// The device gave the module up.
    #[error("the trial failed: {} (Result {result})", super::slot::fault(*result).unwrap_or("no reason given"))]
    Trial {
        /// /27303/x/8.
        result: i64,
    },
    /// The device answered a request with an error or with nonsense.
    #[error("{request} was answered with {answer}")]
    Device {
        /// The request.
        request: String,
        /// The answer.
        answer: String,
    },
    /// No progress until the deadline.
    #[error("no end after {hours} hours; the last step was {step}")]
    Deadline {
        /// How long it was tried.
        hours: u64,
        /// The step that did not end.
        step: String,
    },
    /// After the update had succeeded the device left the module by itself.
    #[error("the device went back to {runs} by itself: {} (Result {result})", super::slot::fault(*result).unwrap_or("no reason given"))]
    WentBack {
        /// What it runs now.
        runs: String,
        /// /27303/x/8 of the module that it left.
        result: i64,
    },
}

impl From<Unbuilt> for Failure {
    fn from(unbuilt: Unbuilt) -> Self {
        match unbuilt {
            Unbuilt::Refused { reason } => Failure::Refused { reason },
            Unbuilt::Failed { reason } | Unbuilt::Later { reason } => Failure::Build { reason },
        }
    }
}

/// A line of a device's timeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Wall time (ms).
    pub at: u64,
    /// What happened.
    pub text: String,
}

impl DeviceRecord {
    /// True if something is wanted, is under way or was done: the rest is read again when the
    /// device registers, and need not be stored.
    pub fn is_worth_keeping(&self) -> bool {
        let DeviceRecord {
            desired,
            attempt,
            last,
            sequence,
            ..
        } = self;
        desired.is_some() || attempt.is_some() || last.is_some() || *sequence > 0
    }

    /// Adds a line to the timeline if the last one is another; whether it did.
    pub(super) fn note_once(&mut self, at: u64, text: String) -> bool {
        let is_new = self.timeline.back().is_none_or(|last| last.text != text);
        if is_new {
            self.note(at, text);
        }
        is_new
    }

    /// Adds a line to the timeline; from a full one the oldest go into the history.
    pub fn note(&mut self, at: u64, text: impl Into<String>) {
        if self.timeline.len() == TIMELINE {
            self.left.extend(self.timeline.drain(..PIECE));
            let over = self.left.len().saturating_sub(LEFT);
            self.left.drain(..over);
        }
        let mut text = text.into();
        text.truncate(text.floor_char_boundary(TEXT));
        self.timeline.push_back(Entry { at, text });
    }
}
