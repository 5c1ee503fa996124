//! What leaves the timeline.

use super::*;
use crate::history;
use tinsmith_store::{Key, Kind};

/// Entries of the pieces on disk, in their order, and of the timeline.
fn all(world: &World) -> Vec<String> {
    let keys = world.disk.iter();
    let pieces = keys.filter(|(key, _)| Key::from_bytes(key).unwrap().kind == Kind::HISTORY);
    let old = pieces.flat_map(|(_, record)| history::decode(record).unwrap());
    let record = world.status().record;
    old.chain(record.timeline).map(|entry| entry.text).collect()
}

fn decide_often(world: &mut World, from: usize, to: usize) {
    for n in from..to {
        world.want(&format!("model-{n}"));
    }
}

fn wanted(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| format!("wanted: model-{n} 1")).collect()
}

#[test]
fn nothing_is_lost_from_a_full_timeline() {
    let mut world = World::new(SimDevice::new());
    decide_often(&mut world, 0, 300);
    assert_eq!(all(&world), wanted(0..300));
    let record = world.status().record;
    assert_eq!(record.pieces, 8);
    assert!(record.timeline.len() <= 64);
    world.kill_server();
    decide_often(&mut world, 300, 400);
    assert_eq!(all(&world), wanted(0..400));
}

#[test]
fn the_oldest_go_and_all_go_with_the_device() {
    let mut world = World::with_history(SimDevice::new(), 100);
    decide_often(&mut world, 0, 1000);
    let left = all(&world);
    assert!(
        (100 + 32..=128 + 64).contains(&left.len()),
        "{}",
        left.len()
    );
    assert_eq!(left, wanted(1000 - left.len()..1000));
    // A smaller bound.
    world.restart_with(33);
    decide_often(&mut world, 1000, 1100);
    let left = all(&world);
    assert!(left.len() <= 64 + 64, "{}", left.len());
    world.delete();
    world.run_until_quiet();
    assert!(world.disk.is_empty());
}

#[test]
fn a_store_that_takes_nothing_for_a_while_gets_it_later() {
    let mut world = World::new(SimDevice::new());
    world.want("first");
    for n in 0..100 {
        world.full = 1;
        world.note(&format!("line {n}"));
        world.run_until_quiet();
    }
    let lines = all(&world);
    assert_eq!(lines.len(), 101);
    assert_eq!(
        lines[1..],
        (0..100).map(|n| format!("line {n}")).collect::<Vec<_>>()
    );
}

#[test]
fn a_long_line_is_cut() {
    let mut record = DeviceRecord::default();
    record.note(1, "é".repeat(400));
    assert_eq!(record.timeline[0].text, "é".repeat(250));
}
