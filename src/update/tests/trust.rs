//! Whose packages a device takes is read before one is ordered.

use super::device::SimDevice;
use super::harness::World;
use crate::{Anchors, Summary};

fn verifying(trusted: Vec<[u8; 8]>) -> World {
    let mut device = SimDevice::new();
    device.capability.platform.signature_algorithms = vec![-8];
    device.trusted = trusted;
    World::new(device)
}

#[test]
fn a_package_is_ordered_for_the_keys_that_the_device_trusts() {
    for trusted in [vec![], vec![[1; 8]], vec![[1; 8], [2; 8]]] {
        let mut world = verifying(trusted.clone());
        world.register();
        world.run_until_quiet();
        // Also where nothing is wanted: operators see it.
        assert_eq!(world.status().trusted, Some(trusted.clone()));
        world.want("motion");
        world.run_until_quiet();
        assert_eq!(world.status().summary, Summary::Installed);
        assert_eq!(world.signed_for, [(vec![-8], trusted)]);
    }
}

#[test]
fn they_are_read_again_when_it_registers_again() {
    let mut world = verifying(vec![[1; 8]]);
    world.register();
    world.run_until_quiet();
    world.device.trusted = vec![[3; 8]];
    world.register();
    world.run_until_quiet();
    assert_eq!(world.status().trusted, Some(vec![[3; 8]]));
}

#[test]
fn a_device_that_verifies_nothing_is_not_asked() {
    let mut world = World::new(SimDevice::new());
    world.register();
    world.want("motion");
    world.run_until_quiet();
    assert_eq!(world.status().trusted, None);
    assert_eq!(world.signed_for, [(vec![], vec![])]);
}

/// A public key and its name.
fn key(number: u8) -> (Vec<u8>, [u8; 8]) {
    let key = [
        &b"\xa4\x01\x01\x03\x27\x20\x06\x21\x58\x20"[..],
        &[number; 32],
    ]
    .concat();
    let ids = Anchors::new(&[&key]).ids().to_vec();
    (key, ids[0])
}

#[test]
fn a_device_is_told_of_a_new_key_by_the_old_one() {
    let ((old, old_id), (new, new_id)) = (key(1), key(2));
    let mut world = verifying(vec![old_id]);
    world.sign_with(std::slice::from_ref(&old));
    world.register();
    world.want("motion");
    world.run_until_quiet();
    assert_eq!(world.anchors, []);

    world.sign_with(&[new.clone(), old]);
    world.run_until_quiet();
    assert_eq!(world.device.trusted, [new_id, old_id]);
    assert_eq!(world.anchors.len(), 1);
    let job = &world.anchors[0];
    assert_eq!((&job.trusted, &job.algorithms), (&vec![old_id], &vec![-8]));
    let told = job.sequence;
    let status = world.status();
    assert_eq!(status.trusted, Some(vec![new_id, old_id]));
    assert_eq!(
        (status.summary, world.device.pushes),
        (Summary::Installed, 1)
    );

    // Above the number of the anchors, and for the keys that are there now.
    world.want("fashion");
    world.run_until_quiet();
    assert_eq!(world.status().summary, Summary::Installed);
    assert!(world.status().record.sequence > told);
    let signed = world.signed_for.last().unwrap();
    assert_eq!(signed.1, [new_id, old_id]);

    world.sign_with(&[new]);
    world.run_until_quiet();
    assert_eq!(world.device.trusted, [new_id]);
    // In whatever order.
    world.device.trusted = vec![old_id, new_id];
    let (old, _) = key(1);
    world.sign_with(&[key(2).0, old]);
    world.register();
    world.run_until_quiet();
    assert_eq!(world.anchors.len(), 2);
}

#[test]
fn who_trusts_nobody_or_only_others_is_not_told() {
    for trusted in [vec![], vec![[9; 8]]] {
        let mut world = verifying(trusted.clone());
        world.sign_with(&[key(1).0, key(2).0]);
        world.register();
        world.run_until_quiet();
        assert_eq!(world.anchors, []);
        assert_eq!(world.device.trusted, trusted);
    }
}

#[test]
fn a_device_that_does_not_take_them_is_left_alone_until_it_registers_again() {
    let mut world = verifying(vec![key(1).1]);
    world.device.reject_anchors = true;
    world.sign_with(&[key(2).0, key(1).0]);
    world.register();
    world.want("motion");
    world.run_until_quiet();
    assert_eq!(world.anchors.len(), 3);
    // It goes on with the key that it has.
    assert_eq!(world.status().summary, Summary::Installed);
    let told = |world: &World, word: &str| {
        let status = world.status();
        let timeline = &status.record.timeline;
        timeline.iter().any(|entry| entry.text.contains(word))
    };
    assert!(told(&world, "Write /5/0/0 with trust anchors"));
    world.device.reject_anchors = false;
    world.register();
    world.run_until_quiet();
    assert_eq!(world.device.trusted, [key(2).1, key(1).1]);
    assert!(told(&world, "from now on"));
}

#[test]
fn a_key_that_can_not_sign_is_told() {
    let mut world = verifying(vec![key(1).1]);
    world.refuse = Some("the token is not there".into());
    world.sign_with(&[key(2).0, key(1).0]);
    world.register();
    world.run_until_quiet();
    assert_eq!(world.anchors.len(), 1);
    let status = world.status();
    let text = &status.record.timeline.back().unwrap().text;
    assert!(text.contains("the token is not there"), "{text}");
}

#[test]
fn a_download_that_is_nobodys_is_ended_first() {
    let mut world = verifying(vec![key(1).1]);
    world.device.begin_foreign_download();
    world.sign_with(&[key(2).0, key(1).0]);
    world.register();
    world.run_until_quiet();
    assert_eq!(world.device.resets, 1);
    assert_eq!(world.device.trusted, [key(2).1, key(1).1]);
}
