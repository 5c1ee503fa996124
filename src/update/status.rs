//! What an operator sees of a device's update.

use std::sync::Arc;

use lwm2m_objects::capability::Capability;
use serde::{Deserialize, Serialize};

use tinsmith_order::KeyId;

use super::record::{DeviceRecord, Step};
use super::slot::SlotState;

/// A word for where a device stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Summary {
    /// No model is wanted.
    Idle,
    /// The device can't run models, or does not say what it is made of.
    Unsupported,
    /// Something is wanted, the device is not there.
    Waiting,
    /// The module is being built.
    Building,
    /// The device is being made ready.
    Preparing,
    /// Blocks are on their way.
    Sending,
    /// The device is installing.
    Installing,
    /// The module runs on trial.
    Trial,
    /// The module is being taken over.
    Committing,
    /// The wanted model runs.
    Installed,
    /// The server won't build it for this device.
    Refused,
    /// The last attempt failed.
    Failed,
    /// The record of the device can't be read; it is left as it is.
    Unreadable,
    /// The device went back to the module before by itself.
    RolledBack,
}

/// What is known of a device's update.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// In a word.
    pub summary: Summary,
    /// In a sentence; the failure where there is one.
    pub detail: String,
    /// Acknowledged and all bytes of the package that is being sent.
    pub progress: Option<(u32, u32)>,
    /// What is stored.
    pub record: DeviceRecord,
    /// What the device is made of, once that was read.
    pub capability: Option<Arc<Capability>>,
    /// Ids of the keys that it trusts; none if it was not asked in this registration.
    pub trusted: Option<Vec<KeyId>>,
}

impl Status {
    /// Of a device whose record can't be read.
    pub(super) fn unreadable(reason: &str) -> Self {
        Self {
            summary: Summary::Unreadable,
            detail: format!(
                "what is stored of its updates can't be read and is left as it is: {reason}"
            ),
            progress: None,
            record: DeviceRecord::default(),
            capability: None,
            trusted: None,
        }
    }

    /// From what is stored, and what the process knows beside it.
    pub fn new(
        record: &DeviceRecord,
        capability: Option<&Arc<Capability>>,
        online: bool,
        unsupported: Option<&str>,
        progress: Option<(u32, u32)>,
    ) -> Self {
        let (summary, detail) = summarise(record, online, unsupported);
        Self {
            summary,
            detail,
            progress,
            record: record.clone(),
            capability: capability.cloned(),
            trusted: None,
        }
    }
}

pub(super) fn summarise(
    record: &DeviceRecord,
    online: bool,
    unsupported: Option<&str>,
) -> (Summary, String) {
    let Some(desired) = &record.desired else {
        return match active(record) {
            Some(model) => (
                Summary::Idle,
                format!("runs {model}; nothing else is wanted"),
            ),
            None => (Summary::Idle, "no model is wanted".into()),
        };
    };
    let model = format!("{} {}", desired.model, desired.version);
    if let Some(reason) = unsupported {
        return (Summary::Unsupported, reason.to_owned());
    }
    let open = record
        .attempt
        .as_ref()
        .filter(|a| a.generation == desired.generation);
    if let Some(attempt) = open {
        if !online && attempt.step != Step::Building {
            return (
                Summary::Waiting,
                format!("{model} goes on when the device is back"),
            );
        }
        return match attempt.step {
            Step::Building => (Summary::Building, format!("building {model}")),
            Step::Preparing => (Summary::Preparing, "reading the device".into()),
            Step::Sending => (Summary::Sending, format!("sending {model}")),
            Step::Installing => (Summary::Installing, format!("installing {model}")),
            Step::Trial => (Summary::Trial, format!("{model} runs on trial")),
            Step::Committing => (Summary::Committing, format!("committing {model}")),
        };
    }
    match record
        .last
        .as_ref()
        .filter(|last| last.generation == desired.generation)
    {
        Some(last) => match &last.failure {
            None => (Summary::Installed, format!("runs {model}")),
            Some(failure @ super::Failure::Refused { .. }) => {
                (Summary::Refused, failure.to_string())
            }
            Some(failure @ super::Failure::WentBack { .. }) => {
                (Summary::RolledBack, failure.to_string())
            }
            Some(failure) => (Summary::Failed, failure.to_string()),
        },
        None if online => (Summary::Preparing, "reading the device".into()),
        None => (
            Summary::Waiting,
            format!("{model} is sent when the device registers"),
        ),
    }
}

fn active(record: &DeviceRecord) -> Option<String> {
    let slot = record
        .slots
        .iter()
        .find(|slot| slot.state == SlotState::Active)?;
    Some(format!("{} {}", slot.model, slot.version))
}
