//! Updates under loss, duplication, reordering, rebinding, power cuts and cuts of the server's
//! store. A failure prints its seed; `TINSMITH_SEED=N` tells that story alone, `TINSMITH_SEEDS=N`
//! tells so many.

use tinsmith_client::SlotState;
use tinsmith_update::{Command, Summary};
use tinsmith_world::{Chance, Weather, World, models, tell};

const DEVICES: [&str; 3] = ["pump-1", "scanner-2", "urn:dev:mac:0024befffe804ff1"];
const MODELS: [&str; 4] = ["motion", "maintenance", "fashion", models::BROKEN];
/// How long the bad times last (ms).
const BAD_TIMES: u64 = 20 * 60_000;
const HOUR: u64 = 3_600_000;
/// Of a registration (ms).
const LIFETIME: u64 = 300_000;

#[test]
fn every_device_ends_with_what_is_wanted() {
    tell(1_000, story);
}

/// Twenty bad minutes, then good weather: every device must come to run what was wanted last.
fn story(seed: u64) {
    let mut chance = Chance::new(seed ^ 0x7369_6d75);
    let weather = Weather {
        lost: chance.below(25) as u8,
        doubled: chance.below(20) as u8,
        slowest: chance.between(5, 3_000),
    };
    let shards = chance.between(1, 4) as usize;
    let mut world = World::new(seed, &DEVICES, shards, weather);
    // What each device shall run, as far as an operator was told that it is durable.
    let mut wanted: [Option<&str>; DEVICES.len()] = [None; DEVICES.len()];
    while world.now < BAD_TIMES {
        let pause = chance.between(10, 90_000);
        world.run_until((world.now + pause).min(BAD_TIMES));
        let device = chance.below(DEVICES.len() as u64) as usize;
        match chance.below(10) {
            0..4 => {
                let model = MODELS[chance.below(MODELS.len() as u64) as usize];
                decide(&mut world, device, model, &mut wanted[device]);
                if chance.percent(20) {
                    // Not a moment after the answer.
                    world.cut_server(chance.between(0, 60_000));
                }
            }
            4 => world.rebind(device),
            5 => {
                let off = chance.between(0, 60_000);
                let now = world.now;
                world.devices[device].cut_power(now, off);
            }
            6 => {
                let unit = chance.between(0, 1_500);
                world.devices[device].cut_power_at_unit(unit);
            }
            7 => world.disk.failing = chance.below(20) as u8,
            8 => world.cut_server(chance.between(0, 60_000)),
            _ => world.network.weather.lost = chance.below(60) as u8,
        }
        for (device, wanted) in wanted.iter().enumerate() {
            check_decision(&world, device, *wanted);
        }
    }
    world.network.weather = Weather::FAIR;
    world.disk.failing = 0;
    for (device, wanted) in wanted.iter().enumerate() {
        settle(&mut world, seed, device, *wanted);
    }
}

fn decide(
    world: &mut World,
    device: usize,
    model: &'static str,
    wanted: &mut Option<&'static str>,
) {
    for _ in 0..20 {
        let Some(id) = world.want(device, model) else {
            return;
        };
        if world.run_while(1_000, |world| !world.is_stored(id)) {
            *wanted = Some(model);
            return;
        }
        // The store failed, and the operator was told nothing: asked again.
    }
    panic!("a decision is never stored");
}

/// What an operator was promised is what the server wants.
fn check_decision(world: &World, device: usize, wanted: Option<&str>) {
    let Some(wanted) = wanted else { return };
    let desired = world
        .status(device)
        .and_then(|status| status.record.desired);
    let desired = desired.map(|desired| desired.model);
    assert_eq!(desired.as_deref(), Some(wanted), "a decision is lost");
}

fn settle(world: &mut World, seed: u64, device: usize, wanted: Option<&str>) {
    let name = DEVICES[device];
    let Some(wanted) = wanted else { return };
    let goal = if wanted == models::BROKEN {
        Summary::Failed
    } else {
        Summary::Installed
    };
    for retry in 0..3 {
        let ended = |world: &World| {
            let summary = world.status(device).map(|status| status.summary);
            matches!(summary, Some(Summary::Installed | Summary::Failed))
        };
        let done = world.run_while(26 * HOUR, |world| !ended(world));
        let status = world.status(device);
        assert!(done, "seed {seed}: {name} does not settle: {status:#?}");
        if status.as_ref().map(|status| status.summary) == Some(goal) {
            break;
        }
        assert!(
            retry < 2,
            "seed {seed}: {name} can't run {wanted}: {status:#?}"
        );
        // What failed in bad times is tried again by the operator in good ones.
        world.decide(device, Command::Retry);
        world.run_until(world.now + 1_000);
    }
    // Whatever its address is now, an Update has told it.
    world.run_until(world.now + 2 * LIFETIME);
    let input: Vec<u8> = (0..models::WIDTH as u8).map(|x| x * 7).collect();
    let output = world.infer(device, &input);
    if goal == Summary::Installed {
        let expected = models::expected(wanted, &input);
        assert_eq!(
            output,
            Ok(expected),
            "seed {seed}: {name} runs another model"
        );
    } else if let Ok(output) = output {
        // Whatever ran before goes on.
        let one = MODELS.iter().any(|m| models::expected(m, &input) == output);
        assert!(one, "seed {seed}: {name} runs no model that there is");
    }
    let trials = world.devices[device].events.iter();
    let trials = trials.filter(|event| {
        matches!(
            event,
            tinsmith_client::Event::Slot {
                state: SlotState::Trial,
                ..
            }
        )
    });
    assert!(
        trials.count() > 0,
        "seed {seed}: {name} never tried anything"
    );
}
