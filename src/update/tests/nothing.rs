//! Devices of which nothing is wanted leave nothing behind.

use super::*;
use tinsmith_store::{Key, Kind};

#[test]
fn a_device_that_comes_and_goes_leaves_nothing() {
    let mut world = World::new(SimDevice::new());
    world.device.registered_objects = vec![1, 3];
    world.register();
    world.run_until_quiet();
    assert_eq!(world.status().summary, Summary::Idle);
    assert!(world.disk.is_empty());
    world.deregister();
    world.run_until_quiet();
    assert!(!world.is_known());

    // One that can run models: what is known of its kind is the kind's.
    let mut world = World::new(SimDevice::new());
    world.register();
    world.run_until_quiet();
    assert_eq!(world.status().record.slots.len(), 2);
    world.deregister();
    world.run_until_quiet();
    assert!(!world.is_known());
    assert_eq!(world.kinds(), [Kind::CAPABILITY]);
}

#[test]
fn what_is_wanted_or_was_done_stays() {
    let mut world = World::new(SimDevice::new());
    world.want("motion");
    assert_eq!(world.kinds(), [Kind::DEVICE]);
    world.register();
    world.run_until_quiet();
    world.deregister();
    world.run_until_quiet();
    world.decide(Command::Forget);
    assert!(world.is_known());
    world.kill_server();
    assert!(world.status().record.last.is_some());
}

#[test]
fn a_mistyped_name_is_no_phantom() {
    let mut world = World::new(SimDevice::new());
    world.want("motion");
    world.decide(Command::Forget);
    world.run_until_quiet();
    assert!(world.disk.is_empty() && !world.is_known());
}

#[test]
fn a_device_is_deleted_at_any_time() {
    for after in 0..40 {
        let mut world = World::new(SimDevice::new());
        world.register();
        world.want("motion");
        world.run_steps(after);
        world.delete();
        assert!(!world.is_known());
        world.run_until_quiet();
        assert!(!world.kinds().contains(&Kind::DEVICE), "after {after}");
        // It registers again.
        world.register();
        world.want("fashion");
        world.run_until_quiet();
        let status = world.status();
        assert_eq!(status.summary, Summary::Installed, "{after}: {status:#?}");
    }
}

#[test]
fn what_an_earlier_version_kept_of_nothing_is_deleted() {
    let mut world = World::new(SimDevice::new());
    let key = Key::new(Kind::DEVICE, "dev");
    let record = tinsmith_store::encode(SCHEMA, &DeviceRecord::default()).unwrap();
    world.disk.insert(key.to_bytes(), record);
    world.kill_server();
    assert!(world.is_known());
    world.run_until_quiet();
    assert!(world.disk.is_empty() && !world.is_known());
}
