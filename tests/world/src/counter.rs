//! An object of the devices that counts what it is asked to do.

use std::cell::RefCell;
use std::collections::BTreeMap;

use lwm2m_objects::model::{ObjectModel, Operations, ResourceModel, Version};
use lwm2m_objects::{Path, ValueType};
use tinsmith_client::{Code, Context, Done, Object, Target, Values, View};

/// In the range for private objects.
const OBJECT: u16 = 32_769;
const COUNT: u16 = 0;

const MODEL: ObjectModel = ObjectModel::new(
    OBJECT,
    Version::V1_0,
    false,
    &[ResourceModel::new(COUNT, Operations::E, ValueType::None)],
);

/// Counts how often it is executed with which arguments; it outlives the device's power.
#[derive(Debug, Default)]
pub struct Counter {
    counts: RefCell<BTreeMap<String, u64>>,
}

impl Counter {
    /// What is to be executed.
    pub const PATH: Path = Path::resource(OBJECT, 0, COUNT);

    /// How often it was executed with these arguments.
    pub fn count(&self, arguments: &str) -> u64 {
        let counts = self.counts.borrow();
        counts.get(arguments).copied().unwrap_or(0)
    }
}

impl Object for Counter {
    fn definition(&self) -> &'static ObjectModel {
        &MODEL
    }

    fn read(&self, _: &View<'_>, _: u16, _: &mut Values<'_>) {}

    fn execute(&self, _: &mut Context<'_, '_>, _: Target, arguments: &[u8]) -> Result<Done, Code> {
        let arguments = String::from_utf8_lossy(arguments).into_owned();
        *self.counts.borrow_mut().entry(arguments).or_default() += 1;
        Ok(Done::Now)
    }
}
