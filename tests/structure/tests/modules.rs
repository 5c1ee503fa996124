//! No two modules of a crate know each other, directly or around a corner.

use tinsmith_structure::metadata::Metadata;
use tinsmith_structure::modules::{Modules, cycles};
use tinsmith_structure::none;

#[test]
fn modules_of_a_crate_know_each_other_one_way_only() {
    let workspace = Metadata::load(".", "x86_64-unknown-linux-gnu");
    let firmware = Metadata::load("device-client/boards/qemu-mps2", "thumbv7em-none-eabihf");
    let mut faults = Vec::new();
    let members = workspace.members().into_iter().chain(firmware.members());
    // The root package is one file.
    for (name, package) in members.filter(|(name, _)| *name != "tinsmith") {
        let source = package.folder.join("src");
        // The crates below `src/` have their `lib.rs` beside `Cargo.toml`.
        let beside = package.folder.join("lib.rs").exists();
        let folder = if beside { &package.folder } else { &source };
        let places = Modules::load(folder).edges();
        let edges = places.keys().cloned().collect();
        for cycle in cycles(&edges) {
            let steps = cycle.iter().map(|edge| {
                let at = &places[edge][0];
                format!("\n    {} knows {} ({at})", edge.from, edge.to)
            });
            faults.push(format!("{name}:{}", steps.collect::<String>()));
        }
    }
    none(&faults);
}
