//! The registers of the ECB peripheral, as they are.

use embassy_nrf::pac;

use crate::ecb::{Data, Registers};

/// Those of the part. embassy-nrf has no owner for them, and does not use them.
pub struct Hardware;

impl Registers for Hardware {
    fn point(&self, data: *mut Data) {
        let address = data.expose_provenance() as u32;
        pac::ECB.ecbdataptr().write_value(address);
    }

    fn start(&self) {
        pac::ECB.events_endecb().write_value(0);
        pac::ECB.events_errorecb().write_value(0);
        pac::ECB.tasks_startecb().write_value(1);
    }

    fn stop(&self) {
        pac::ECB.tasks_stopecb().write_value(1);
    }

    fn has_ended(&self) -> bool {
        pac::ECB.events_endecb().read() != 0
    }

    fn has_failed(&self) -> bool {
        pac::ECB.events_errorecb().read() != 0
    }
}
