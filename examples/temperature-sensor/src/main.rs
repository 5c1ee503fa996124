//! `temperature-sensor ENDPOINT coap://ADDRESS:PORT TARGET FLASH-FILE`: a device whose sensor is
//! this machine's.

use std::time::Duration;

use temperature_sensor::Temperature;
use tinsmith_board_host::{Application, Config, Factory, run_with};
use tinsmith_client::Input;

/// Degrees Celsius of the first thermal zone; a machine without one is as warm as a room.
fn celsius() -> f64 {
    let text = std::fs::read_to_string("/sys/class/thermal/thermal_zone0/temp");
    let millis = text.ok().and_then(|t| t.trim().parse::<f64>().ok());
    millis.map_or(21.5, |m| m / 1000.0)
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [endpoint, bootstrap, target, flash] = &args[..] else {
        eprintln!("usage: temperature-sensor ENDPOINT coap://ADDRESS:PORT TARGET FLASH-FILE");
        std::process::exit(2);
    };
    let config = Config {
        endpoint: endpoint.clone(),
        factory: Factory::Bootstrap(bootstrap.clone()),
        psk: None,
        target: target.clone(),
        flash: flash.into(),
        trust_anchors: Vec::new(),
        log: true,
    };
    let sensor = Temperature::default();
    let application = Application {
        objects: &[&sensor],
        period: Duration::from_secs(1),
        ask: &|| {
            let changed = sensor.measured(celsius());
            changed.then_some(Input::Changed(Temperature::PATH))
        },
    };
    if let Err(error) = run_with(&config, &application) {
        eprintln!("{error}");
        std::process::exit(1);
    }
}
