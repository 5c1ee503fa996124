//! How do I add an object of my own? A temperature sensor (3303), for any board.
//!
//! `src/main.rs` runs it as a process on the host, `device-client/boards/qemu-mps2` in firmware.
#![cfg_attr(not(feature = "host"), no_std)]

use core::cell::Cell;

use lwm2m_objects::model::{ObjectModel, Operations, ResourceModel, Version};
use lwm2m_objects::{Path, Value, ValueType};
use tinsmith_client::{Code, Context, Done, Object, Target, Values, View};

const MIN: u16 = 5601;
const MAX: u16 = 5602;
const RESET: u16 = 5605;
const VALUE: u16 = 5700;
const UNITS: u16 = 5701;

/// What the registry says of object 3303, as far as this sensor has it.
const MODEL: ObjectModel = ObjectModel::new(
    3303,
    Version::V1_0,
    true,
    &[
        ResourceModel::new(MIN, Operations::R, ValueType::Float),
        ResourceModel::new(MAX, Operations::R, ValueType::Float),
        ResourceModel::new(RESET, Operations::E, ValueType::None),
        ResourceModel::new(VALUE, Operations::R, ValueType::Float),
        ResourceModel::new(UNITS, Operations::R, ValueType::String),
    ],
);

/// A sensor; the client reads it, the application measures.
#[derive(Debug, Default)]
pub struct Temperature {
    /// Degrees Celsius: now, lowest, highest.
    measured: Cell<Option<(f64, f64, f64)>>,
}

impl Temperature {
    /// The path of the value.
    pub const PATH: Path = Path::resource(3303, 0, VALUE);

    /// Takes a measurement in degrees Celsius; true if the value is another one now.
    pub fn measured(&self, celsius: f64) -> bool {
        let (before, min, max) = self.measured.get().unwrap_or((f64::NAN, celsius, celsius));
        let now = (celsius, min.min(celsius), max.max(celsius));
        self.measured.set(Some(now));
        before != celsius
    }
}

impl Object for Temperature {
    fn definition(&self) -> &'static ObjectModel {
        &MODEL
    }

    fn read(&self, _: &View<'_>, _: u16, values: &mut Values<'_>) {
        if let Some((now, min, max)) = self.measured.get() {
            values.put(MIN, Value::Float(min));
            values.put(MAX, Value::Float(max));
            values.put(VALUE, Value::Float(now));
        }
        values.put(UNITS, Value::String("Cel"));
    }

    /// Reset Min and Max Measured Values, the only resource that can be executed.
    fn execute(&self, _: &mut Context<'_, '_>, _: Target, _: &[u8]) -> Result<Done, Code> {
        let now = self.measured.get().map(|(now, ..)| (now, now, now));
        self.measured.set(now);
        Ok(Done::Now)
    }
}
