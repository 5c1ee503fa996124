//! What the firmware adds to the client: a temperature sensor. The machine has no thermometer, so
//! what it measures goes up and down by itself.

use static_cell::StaticCell;
use temperature_sensor::Temperature;
use tinsmith_client::{Input, Object};

/// Milliseconds between two measurements.
const PERIOD: u64 = 1_000;

/// The sensor and when it is read next.
pub(crate) struct Application {
    sensor: &'static Temperature,
    objects: &'static [&'static dyn Object],
    next: u64,
}

impl Application {
    pub(crate) fn new() -> Self {
        static SENSOR: StaticCell<Temperature> = StaticCell::new();
        static OBJECTS: StaticCell<[&'static dyn Object; 1]> = StaticCell::new();
        let sensor: &'static Temperature = SENSOR.init(Temperature::default());
        Self {
            sensor,
            objects: OBJECTS.init([sensor]),
            next: 0,
        }
    }
}

impl tinsmith_embassy::Application for Application {
    fn objects(&self) -> &'static [&'static dyn Object] {
        self.objects
    }

    fn poll(&mut self, millis: u64) -> Option<Input<'static>> {
        if millis < self.next {
            return None;
        }
        self.next = millis + PERIOD;
        let tenths = (millis / PERIOD % 20).abs_diff(10) as u32;
        let changed = self.sensor.measured(20.0 + f64::from(tenths) / 10.0);
        changed.then_some(Input::Changed(Temperature::PATH))
    }

    fn next_deadline(&self) -> Option<u64> {
        Some(self.next)
    }
}
