//! Whose packages a device takes is read before one is ordered.

use super::device::SimDevice;
use super::harness::World;
use crate::Summary;

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
