//! No two modules of a crate know each other, directly or around a corner.

use std::collections::BTreeSet;

use tinsmith_structure::metadata::Metadata;
use tinsmith_structure::modules::{Edge, Modules, cycles};
use tinsmith_structure::none;

/// Modules that know each other in a circle and may for now: crate, which, why.
const KNOTS: &[(&str, &[&str], &str)] = &[
    (
        "lwm2m-objects",
        &["format::float", "format::number"],
        "a float is written by the exact digits of number, which reads floats",
    ),
    (
        "tinsmith-client",
        &[
            "body", "device", "engine", "facts", "job", "log", "manage", "object", "objects",
            "observe", "parts", "platform", "read", "session", "storage", "update",
        ],
        "what an object is told (object) names the device, and what the caller gives (platform) \
         names objects and sessions",
    ),
    (
        "tinsmith-lwm2m",
        &["device", "exchange", "observation"],
        "a device is one struct: its open request and its observations are told what to do by it, and \
         use it",
    ),
    (
        "tinsmith-update",
        &["ask", "reconcile"],
        "what is asked of the reconciler names its jobs, and it takes what is asked",
    ),
];

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
        let mut places = Modules::load(folder).edges();
        for (_, modules, _) in KNOTS.iter().filter(|knot| knot.0 == name) {
            let tied = |edge: &Edge| {
                [&edge.from, &edge.to]
                    .iter()
                    .all(|m| modules.contains(&m.as_str()))
            };
            let knot: BTreeSet<Edge> = places.keys().filter(|edge| tied(edge)).cloned().collect();
            if cycles(&knot).is_empty() {
                faults.push(format!("{name}: KNOTS lists what is untied: {modules:?}"));
            }
            places.retain(|edge, _| !tied(edge));
        }
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
