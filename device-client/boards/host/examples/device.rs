//! A device of its own: `device ENDPOINT coap://ADDRESS:PORT TARGET FLASH-FILE`.

use tinsmith_board_host::{Config, Factory, run};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [endpoint, bootstrap, target, flash] = &args[..] else {
        eprintln!("usage: device ENDPOINT coap://ADDRESS:PORT TARGET FLASH-FILE");
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
    if let Err(error) = run(&config) {
        eprintln!("{error}");
        std::process::exit(1);
    }
}
