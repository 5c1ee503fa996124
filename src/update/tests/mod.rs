//! The reconciler against a device that is a model of itself, in virtual time.

mod answers;
mod device;
mod golden;
mod harness;
mod history;
mod nothing;
mod rollback;
mod trust;

use super::*;
use device::SimDevice;
use harness::World;
use tinsmith_digest::Digest;

#[test]
fn a_wanted_model_is_built_sent_tried_and_committed() {
    let mut world = World::new(SimDevice::new());
    world.register();
    world.want("motion");
    world.run_until_quiet();
    let status = world.status();
    assert_eq!(status.summary, Summary::Installed, "{status:#?}");
    assert_eq!(world.builds, 1);
    assert_eq!(world.device.installs, 1);
    assert_eq!(world.device.commits, 1);
    assert_eq!(world.device.early_commits, 0);
    assert!(status.record.attempt.is_none());
    let last = status.record.last.unwrap();
    assert_eq!(last.failure, None);
    assert!(last.artefact.is_some());
}

#[test]
fn a_device_that_comes_later_gets_what_is_wanted() {
    let mut world = World::new(SimDevice::new());
    world.want("motion");
    world.run_until_quiet();
    assert_eq!(world.status().summary, Summary::Waiting);
    world.register();
    world.run_until_quiet();
    assert_eq!(world.status().summary, Summary::Installed);
}

#[test]
fn what_is_installed_is_not_sent_again() {
    let mut world = World::new(SimDevice::new());
    world.register();
    world.want("motion");
    world.run_until_quiet();
    let pushes = world.device.pushes;
    world.want("motion");
    world.run_until_quiet();
    assert_eq!(world.status().summary, Summary::Installed);
    assert_eq!(world.device.pushes, pushes);
    world.register();
    world.run_until_quiet();
    assert_eq!(world.device.pushes, pushes);
}

#[test]
fn another_name_for_the_same_module_is_installed_too() {
    let mut world = World::new(SimDevice::new());
    world.register();
    world.want("motion");
    world.run_until_quiet();
    world.decide(Command::Want {
        model: "my-motion".into(),
        version: "1".into(),
        source: Digest::of(b"motion"),
        trial_s: 600,
    });
    world.run_until_quiet();
    assert_eq!(world.status().summary, Summary::Installed);
    assert_eq!(world.device.active_model(), "my-motion");
}

#[test]
fn a_kind_of_device_is_read_once() {
    let mut world = World::new(SimDevice::new());
    world.register();
    world.run_until_quiet();
    assert_eq!(world.device.capability_reads, 3);
    world.device = SimDevice::new();
    world.register();
    world.run_until_quiet();
    assert_eq!(world.device.capability_reads, 0);
    world.kill_server();
    world.run_until_quiet();
    assert_eq!(world.device.capability_reads, 0);
    assert!(world.status().capability.is_some());
}

#[test]
fn a_refused_build_sends_nothing_and_is_not_repeated() {
    let mut world = World::new(SimDevice::new());
    world.refuse = Some("the arena is 812 bytes too small".into());
    world.register();
    world.want("motion");
    world.run_until_quiet();
    let status = world.status();
    assert_eq!(status.summary, Summary::Refused);
    assert!(status.detail.contains("812 bytes"), "{}", status.detail);
    assert_eq!(world.device.pushes, 0);
    world.register();
    world.run_until_quiet();
    assert_eq!(world.builds, 1);
    world.refuse = None;
    world.decide(Command::Retry);
    world.run_until_quiet();
    assert_eq!(world.status().summary, Summary::Installed);
}

#[test]
fn the_floor_that_a_device_tells_is_passed() {
    let mut world = World::new(SimDevice::new());
    // A server whose clock was once 20 years ahead has left it behind.
    let floor = world.now.wall / 1000 + 20 * 366 * 24 * 3600;
    world.device.floor = Some(floor);
    world.register();
    world.want("motion");
    world.run_until_quiet();
    assert_eq!(world.status().record.sequence, floor + 1);
}

#[test]
fn each_refusal_of_a_device_that_tells_no_floor_goes_up_by_a_year() {
    let mut world = World::new(SimDevice::new());
    world.device.reject_download = Some(8);
    world.register();
    world.want("motion");
    world.run_until_quiet();
    let first = world.status().record.sequence;
    world.decide(Command::Retry);
    world.run_until_quiet();
    let second = world.status().record.sequence;
    assert_eq!(second - first, 366 * 24 * 3600);
}

#[test]
fn what_is_not_the_models_fault_is_tried_again() {
    for later in 1..6 {
        let mut world = World::new(SimDevice::new());
        world.later = later;
        world.register();
        world.want("motion");
        world.run_until_quiet();
        assert_eq!(world.status().summary, Summary::Installed, "{later}");
    }
    // The module is gone when it is to be wrapped.
    let mut world = World::new(SimDevice::new());
    world.register();
    world.want("motion");
    while world.builds == 0 {
        world.run_steps(1);
    }
    world.later = 1;
    world.run_until_quiet();
    assert_eq!(world.status().summary, Summary::Installed);
    assert_eq!(world.builds, 2);
}

#[test]
fn a_store_that_takes_nothing_is_not_asked_all_the_time() {
    let mut world = World::new(SimDevice::new());
    world.register();
    world.want("motion");
    world.full = u32::MAX;
    let begin = (world.now.mono, world.commits);
    while world.now.mono < begin.0 + 60_000 {
        world.run_steps(1);
    }
    let tries = world.commits - begin.1;
    assert!((10..30).contains(&tries), "{tries} in a minute");
    world.full = 0;
    world.run_until_quiet();
    assert_eq!(world.status().summary, Summary::Installed);
}

#[test]
fn an_update_result_is_a_failure_with_its_reason() {
    let mut device = SimDevice::new();
    device.reject_download = Some(5);
    let mut world = World::new(device);
    world.register();
    world.want("motion");
    world.run_until_quiet();
    let status = world.status();
    assert_eq!(status.summary, Summary::Failed);
    assert_eq!(
        status.record.last.unwrap().failure,
        Some(Failure::Update { result: 5 })
    );
    assert_eq!(world.device.installs, 0);
}

#[test]
fn a_lost_connection_is_tried_again_and_then_given_up() {
    let mut device = SimDevice::new();
    device.reject_download = Some(4);
    let mut world = World::new(device);
    world.register();
    world.want("motion");
    world.run_until_quiet();
    assert_eq!(world.status().summary, Summary::Failed);
    assert_eq!(world.device.pushes, 3);
}

#[test]
fn a_failed_trial_is_reported_with_the_devices_reason() {
    let mut device = SimDevice::new();
    device.fail_trial = Some(9);
    let mut world = World::new(device);
    world.register();
    world.want("motion");
    world.run_until_quiet();
    let status = world.status();
    assert_eq!(
        status.record.last.unwrap().failure,
        Some(Failure::Trial { result: 9 })
    );
    assert!(status.detail.contains("self test failed"));
}

#[test]
fn a_transfer_goes_on_where_it_was() {
    let mut device = SimDevice::new();
    device.drop_at = Some(3072);
    let mut world = World::new(device);
    world.register();
    world.want("motion");
    world.run_until_quiet();
    assert_eq!(world.status().summary, Summary::Installed);
    assert_eq!(world.device.push_starts, [0, 3072]);
}

#[test]
fn foreign_downloads_are_reset_first() {
    let mut device = SimDevice::new();
    device.begin_foreign_download();
    let mut world = World::new(device);
    world.register();
    world.want("motion");
    world.run_until_quiet();
    assert_eq!(world.status().summary, Summary::Installed);
    assert_eq!(world.device.resets, 1);
}

#[test]
fn without_notifications_reading_back_is_enough() {
    let mut device = SimDevice::new();
    device.refuse_observe = true;
    let mut world = World::new(device);
    world.register();
    world.want("motion");
    world.run_until_quiet();
    assert_eq!(world.status().summary, Summary::Installed);
}

#[test]
fn a_notification_that_can_not_be_read_says_that_something_has_changed() {
    let time = |change: fn(&mut SimDevice)| {
        let mut device = SimDevice::new();
        change(&mut device);
        let mut world = World::new(device);
        world.register();
        world.want("motion");
        world.run_until_quiet();
        assert_eq!(world.status().summary, Summary::Installed);
        world.now.mono
    };
    let told = time(|_| {});
    assert_eq!(time(|device| device.unreadable = true), told);
    assert!(time(|device| device.refuse_observe = true) > told);
}

#[test]
fn a_device_that_lists_no_compute_platform_is_not_asked_for_it() {
    let mut device = SimDevice::new();
    device.registered_objects = vec![1, 3, 5];
    let mut world = World::new(device);
    world.want("motion");
    world.register();
    world.run_until_quiet();
    assert_eq!(world.status().summary, Summary::Unsupported);
    assert_eq!(world.device.requests, 0);
    world.device.registered_objects.push(27300);
    world.update();
    world.run_until_quiet();
    assert_eq!(world.status().summary, Summary::Installed);
}

#[test]
fn a_device_without_compute_objects_is_left_alone() {
    let mut device = SimDevice::new();
    device.plain = true;
    let mut world = World::new(device);
    world.register();
    world.want("motion");
    world.run_until_quiet();
    assert_eq!(world.status().summary, Summary::Unsupported);
    assert!(world.device.requests < 5);
}

#[test]
fn a_changed_mind_replaces_what_is_under_way() {
    for after in 0..40 {
        let mut world = World::new(SimDevice::new());
        world.register();
        world.want("motion");
        world.run_steps(after);
        world.want("fashion");
        world.run_until_quiet();
        let status = world.status();
        assert_eq!(
            status.summary,
            Summary::Installed,
            "after {after}: {status:#?}"
        );
        assert_eq!(world.device.active_model(), "fashion", "after {after}");
    }
}

#[test]
fn killed_after_any_step_the_update_still_ends_and_is_not_doubled() {
    let mut world = World::new(SimDevice::new());
    world.register();
    world.want("motion");
    let steps = world.run_until_quiet();
    assert!(steps > 20);
    for kill_at in 0..steps {
        let mut world = World::new(SimDevice::new());
        world.register();
        world.want("motion");
        world.run_steps(kill_at);
        world.kill_server();
        world.run_until_quiet();
        let status = world.status();
        assert_eq!(
            status.summary,
            Summary::Installed,
            "killed at {kill_at}: {status:#?}"
        );
        assert_eq!(world.device.active_model(), "motion");
        assert_eq!(world.device.installs, 1, "killed at {kill_at}");
        assert!(world.device.blocks_repeated <= 1, "killed at {kill_at}");
    }
}

#[test]
fn a_device_reset_at_any_step_ends_with_the_model_or_a_stated_failure() {
    for reset_at in 0..40 {
        let mut world = World::new(SimDevice::new());
        world.register();
        world.want("motion");
        world.run_steps(reset_at);
        world.device.power_cycle();
        world.register();
        world.run_until_quiet();
        let status = world.status();
        let failed_in_trial = status.record.last.as_ref().and_then(|l| l.failure.clone())
            == Some(Failure::Trial { result: 13 });
        assert!(
            status.summary == Summary::Installed || failed_in_trial,
            "reset at {reset_at}: {status:#?}"
        );
    }
}
