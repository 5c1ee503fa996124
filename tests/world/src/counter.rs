//! An object of the devices that counts what it is asked to do.

use std::cell::{Cell, RefCell};
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
    boot: Cell<u32>,
    counts: RefCell<BTreeMap<(String, u32), u32>>,
}

impl Counter {
    /// What is to be executed.
    pub const PATH: Path = Path::resource(OBJECT, 0, COUNT);

    /// The device starts.
    pub fn boot(&self) {
        self.boot.set(self.boot.get() + 1);
    }

    /// How often it was executed with these arguments from one start of the device to the next, at
    /// most.
    pub fn most(&self, arguments: &str) -> u32 {
        let counts = self.counts.borrow();
        let ours = counts.iter().filter(|((text, _), _)| text == arguments);
        ours.map(|(_, count)| *count).max().unwrap_or(0)
    }
}

impl Object for Counter {
    fn definition(&self) -> &'static ObjectModel {
        &MODEL
    }

    fn read(&self, _: &View<'_>, _: u16, _: &mut Values<'_>) {}

    fn execute(&self, _: &mut Context<'_, '_>, _: Target, arguments: &[u8]) -> Result<Done, Code> {
        let arguments = String::from_utf8_lossy(arguments).into_owned();
        let mut counts = self.counts.borrow_mut();
        *counts.entry((arguments, self.boot.get())).or_default() += 1;
        Ok(Done::Now)
    }
}
