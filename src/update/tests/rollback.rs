//! Going back, by an operator or by the device.

use super::*;

/// A device that ran `motion`, and now runs `fashion`.
fn updated_twice() -> World {
    let mut world = World::new(SimDevice::new());
    world.register();
    for model in ["motion", "fashion"] {
        world.want(model);
        world.run_until_quiet();
        assert_eq!(world.status().summary, Summary::Installed);
    }
    world
}

#[test]
fn an_operator_goes_back_to_the_module_that_is_still_there() {
    let mut world = updated_twice();
    for model in ["motion", "fashion", "motion"] {
        let (builds, pushes) = (world.builds, world.device.pushes);
        world.decide(Command::Rollback);
        world.run_until_quiet();
        let status = world.status();
        assert_eq!(status.summary, Summary::Installed, "{status:#?}");
        assert_eq!(status.record.desired.unwrap().model, model);
        assert_eq!(world.device.active_model(), model);
        assert_eq!((world.builds, world.device.pushes), (builds, pushes));
    }
    assert_eq!(world.device.activations, ["0='600'"; 3]);
}

#[test]
fn a_wanted_module_that_lies_in_the_other_slot_is_activated() {
    let mut world = updated_twice();
    let pushes = world.device.pushes;
    world.want("motion");
    world.run_until_quiet();
    assert_eq!(world.device.active_model(), "motion");
    assert_eq!(world.device.pushes, pushes);
    assert_eq!(world.device.activations.len(), 1);

    // A device that does not do that is sent it.
    world.device.refuse_activate = true;
    world.want("fashion");
    world.run_until_quiet();
    assert_eq!(world.status().summary, Summary::Installed);
    assert_eq!(world.device.active_model(), "fashion");
    assert_eq!(world.device.pushes, pushes + 1);
}

#[test]
fn a_trial_that_fails_after_an_activation_is_a_failure() {
    let mut world = updated_twice();
    world.device.fail_trial = Some(9);
    world.decide(Command::Rollback);
    world.run_until_quiet();
    let failure = world.status().record.last.unwrap().failure;
    assert_eq!(failure, Some(Failure::Trial { result: 9 }));
    // What failed is not there any more: it is built and sent.
    world.device.fail_trial = None;
    let pushes = world.device.pushes;
    world.decide(Command::Retry);
    world.run_until_quiet();
    assert_eq!(world.device.active_model(), "motion");
    assert_eq!(world.device.pushes, pushes + 1);
}

#[test]
fn a_rollback_of_the_device_is_told_and_not_undone() {
    for (state, result) in [(6, 0), (5, 10), (2, 1)] {
        let mut world = updated_twice();
        let pushes = world.device.pushes;
        if state == 2 {
            // Somebody else has activated and committed the other module.
            for slot in &mut world.device.slots {
                slot.state = if slot.state == 4 { 2 } else { 4 };
            }
        } else {
            world.device.roll_back(state, result);
        }
        for event in [World::register, World::kill_server, World::register] {
            event(&mut world);
            world.run_until_quiet();
            let status = world.status();
            assert_eq!(status.summary, Summary::RolledBack, "{status:#?}");
            assert!(
                status.detail.contains("went back to motion 1"),
                "{}",
                status.detail
            );
            assert_eq!(world.device.active_model(), "motion");
        }
        assert_eq!(world.device.pushes, pushes);
        let lines = world.status().record.timeline;
        let told = lines.iter().filter(|line| line.text.contains("went back"));
        assert_eq!(told.count(), 1);

        // A decision ends it, either way.
        let before = world.status().record.clone();
        assert_eq!(before.previous().unwrap().model, "motion");
        world.decide(Command::Rollback);
        world.run_until_quiet();
        assert_eq!(world.device.active_model(), "motion");
        assert_eq!(world.status().summary, Summary::Installed);
        assert_eq!(world.device.pushes, pushes);
        world.want("fashion");
        world.run_until_quiet();
        assert_eq!(world.device.active_model(), "fashion");
    }
}

#[test]
fn a_damaged_module_is_sent_again() {
    let mut world = updated_twice();
    world.device.roll_back(5, 3);
    world.register();
    world.run_until_quiet();
    assert_eq!(world.status().summary, Summary::Installed);
    assert_eq!(world.device.active_model(), "fashion");
}

#[test]
fn a_failed_update_is_rolled_back_to_what_runs() {
    let mut world = World::new(SimDevice::new());
    world.register();
    world.want("motion");
    world.run_until_quiet();
    world.device.fail_trial = Some(9);
    world.want("fashion");
    world.run_until_quiet();
    assert_eq!(world.status().summary, Summary::Failed);
    let pushes = world.device.pushes;
    world.decide(Command::Rollback);
    world.run_until_quiet();
    assert_eq!(world.status().summary, Summary::Installed);
    assert_eq!(world.status().record.desired.unwrap().model, "motion");
    assert_eq!(world.device.pushes, pushes);
}

#[test]
fn there_is_nothing_to_go_back_to() {
    let mut world = World::new(SimDevice::new());
    let now = world.now;
    let mut reconciler = Reconciler::new();
    reconciler.ask(now, AskId(7), &"dev".into(), Ask::Decide(Command::Rollback));
    let answer = reconciler.poll();
    assert!(matches!(
        answer,
        Some(Output::Answer(AskId(7), Reply::NoPrevious, None))
    ));
    assert!(reconciler.status("dev").is_none());

    world.register();
    world.want("motion");
    world.run_until_quiet();
    assert_eq!(world.status().record.previous(), None);
}

#[test]
fn what_an_earlier_version_installed_is_gone_back_to() {
    let mut world = updated_twice();
    let mut record = world.status().record;
    (record.installed, record.before) = (None, None);
    let bytes = tinsmith_store::encode(SCHEMA, &record).unwrap();
    world.disk.insert(Reconciler::key("dev").to_bytes(), bytes);
    world.kill_server();
    world.run_until_quiet();
    let pushes = world.device.pushes;
    world.decide(Command::Rollback);
    world.run_until_quiet();
    assert_eq!(world.device.active_model(), "motion");
    assert_eq!(world.device.pushes, pushes);
    world.decide(Command::Rollback);
    world.run_until_quiet();
    assert_eq!(world.device.active_model(), "fashion");
    assert_eq!(world.device.pushes, pushes);
}

#[test]
fn other_firmware_that_needs_the_same_module_is_sent_nothing() {
    let mut world = World::new(SimDevice::new());
    world.register();
    world.want("motion");
    world.run_until_quiet();
    let pushes = world.device.pushes;
    let operators = &mut world.device.capability.units[0].operators;
    operators.as_mut().unwrap().pop().unwrap();
    world.register();
    world.run_until_quiet();
    let status = world.status();
    assert_eq!(status.summary, Summary::Installed);
    assert_eq!(
        status.record.capability,
        Some(world.device.capability.digest())
    );
    // Built for the other firmware, and the same.
    assert_eq!(world.builds, 2);
    assert_eq!(world.device.pushes, pushes);
}

#[test]
fn a_changed_mind_after_a_rollback_waits_for_the_slot() {
    for after in 0..40 {
        let mut world = updated_twice();
        world.decide(Command::Rollback);
        world.run_steps(after);
        world.want("digits");
        world.run_until_quiet();
        let status = world.status();
        assert_eq!(status.summary, Summary::Installed, "{after}: {status:#?}");
        assert_eq!(world.device.active_model(), "digits", "{after}");
    }
}

#[test]
fn a_rollback_survives_the_end_of_the_server_at_any_step() {
    for kill_at in 0..40 {
        let mut world = updated_twice();
        world.decide(Command::Rollback);
        world.run_steps(kill_at);
        world.kill_server();
        world.run_until_quiet();
        let status = world.status();
        assert_eq!(status.summary, Summary::Installed, "{kill_at}: {status:#?}");
        assert_eq!(world.device.active_model(), "motion", "{kill_at}");
        assert_eq!(world.device.activations.len(), 1, "{kill_at}");
    }
}
