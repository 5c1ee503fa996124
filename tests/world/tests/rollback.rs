//! Going back, with loss, power cuts and cuts of the server: by an operator to what lies in the other
//! slot, and by the device itself.

use lwm2m_objects::{Path, ids};
use tinsmith_client::{Event, SlotState};
use tinsmith_lwm2m::{Operation, Outcome};
use tinsmith_update::{Command, Failure, Summary};
use tinsmith_world::{Chance, Weather, World, models, tell};

const DEVICE: [&str; 1] = ["pump-1"];
const HOUR: u64 = 3_600_000;
/// Of a registration (ms).
const LIFETIME: u64 = 300_000;

#[test]
fn an_operator_and_a_device_go_back() {
    tell(300, story);
}

fn story(seed: u64) {
    let mut chance = Chance::new(seed ^ 0x726f_6c6c);
    let mut world = World::new(seed, &DEVICE, 1, Weather::FAIR);
    for model in ["motion", "maintenance"] {
        assert!(world.want(0, model).is_some(), "the server runs");
        settle(&mut world, seed, Summary::Installed);
        runs(&mut world, seed, model);
    }
    let received = receptions(&world);

    world.network.weather.lost = chance.below(40) as u8;
    assert!(world.decide(0, Command::Rollback).is_some());
    world.run_until(world.now + chance.between(0, 4_000));
    let now = world.now;
    match chance.below(3) {
        0 => world.cut_server(chance.between(0, 60_000)),
        1 => world.devices[0].cut_power(now, chance.between(0, 30_000)),
        _ => {}
    }
    world.run_until(world.now + 10_000);
    world.network.weather = Weather::FAIR;
    let wanted = |world: &World| {
        let desired = world.status(0).and_then(|status| status.record.desired);
        desired.map(|desired| desired.model)
    };
    if wanted(&world).as_deref() != Some("motion") {
        // The server ended before the decision was durable.
        assert!(world.decide(0, Command::Rollback).is_some());
    }
    let ended = settle(&mut world, seed, Summary::Installed);
    if ended != Summary::Installed {
        // The power went while the module was on trial: what failed is sent.
        let last = world.status(0).and_then(|status| status.record.last);
        let failure = last.and_then(|last| last.failure);
        assert_eq!(failure, Some(Failure::Trial { result: 13 }), "seed {seed}");
        world.decide(0, Command::Retry);
        world.run_until(world.now + 1_000);
        assert_eq!(
            settle(&mut world, seed, Summary::Installed),
            Summary::Installed
        );
    } else if entered(&world, SlotState::RolledBack) == 0 {
        assert_eq!(receptions(&world), received, "seed {seed}: sent again");
    }
    runs(&mut world, seed, "motion");

    // The device goes back: nobody undoes it.
    let status = world.status(0).expect("it is known");
    let slots = status.record.slots.iter();
    let active = slots.clone().find(|slot| slot.state == SlotState::Active);
    let active = active.expect("a module runs").instance;
    let other = slots.clone().find(|slot| slot.instance != active);
    let goes_back = other.is_some_and(|slot| slot.state == SlotState::Verified);
    let path = Path::resource(ids::ML_MODEL, active, ids::ml_model::ROLLBACK);
    let arguments = String::new();
    let outcome = world.request(0, Operation::Execute { path, arguments });
    if !goes_back {
        assert!(
            matches!(outcome, Some(Outcome::Rejected { .. })),
            "seed {seed}: {outcome:?}"
        );
        return;
    }
    assert_eq!(outcome, Some(Outcome::Done), "seed {seed}");
    world.run_until(world.now + 600_000);
    let received = receptions(&world);
    world.cut_server(1_000);
    world.run_until(world.now + HOUR);
    let status = world.status(0).expect("it is known");
    assert_eq!(
        status.summary,
        Summary::RolledBack,
        "seed {seed}: {status:#?}"
    );
    assert_eq!(receptions(&world), received, "seed {seed}: sent again");
    runs(&mut world, seed, "maintenance");
}

/// Until the decision has ended, as hoped or in a failure.
fn settle(world: &mut World, seed: u64, hoped: Summary) -> Summary {
    let summary = |world: &World| world.status(0).map(|status| status.summary);
    let ended = |world: &World| {
        let found = summary(world);
        found == Some(hoped) || found == Some(Summary::Failed)
    };
    world.run_until(world.now + 100);
    let done = world.run_while(26 * HOUR, |world| !ended(world));
    let status = world.status(0);
    assert!(done, "seed {seed}: no end: {status:#?}");
    status.map_or(hoped, |status| status.summary)
}

fn runs(world: &mut World, seed: u64, model: &str) {
    // Whatever its address is now, an Update has told it.
    world.run_until(world.now + 2 * LIFETIME);
    let input: Vec<u8> = (0..models::WIDTH as u8).map(|x| x * 7).collect();
    let output = world.infer(0, &input);
    assert_eq!(
        output,
        Ok(models::expected(model, &input)),
        "seed {seed}: {model}"
    );
}

/// How often the device began to receive a module.
fn receptions(world: &World) -> usize {
    entered(world, SlotState::Receiving)
}

/// How often a slot came into a state.
fn entered(world: &World, wanted: SlotState) -> usize {
    let events = world.devices[0].events.iter();
    let slots =
        events.filter(|event| matches!(event, Event::Slot { state, .. } if *state == wanted));
    slots.count()
}
