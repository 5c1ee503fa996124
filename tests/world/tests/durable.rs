//! Durable requests under loss, duplication, reordering, rebinding, power cuts, new Registers,
//! expiry, withdrawal, a store that fails, and servers that are killed: each that was accepted ends
//! exactly once, and a device does what it is asked at most as often as it was sent.
//! `TINSMITH_SEED=N` tells one story alone, `TINSMITH_SEEDS=N` so many.

use tinsmith_lwm2m::{Endpoint, Operation, Outcome, RequestId, request_key};
use tinsmith_world::{Chance, Counter, Weather, World, tell};

const DEVICES: [&str; 2] = ["pump-1", "scanner-2"];
/// How long the bad times last (ms).
const BAD_TIMES: u64 = 20 * 60_000;
/// The longest that a request lives (ms).
const LIFE: u64 = 30 * 60_000;
/// A message that is not answered is given up after 62 s at the earliest (RFC 7252 §4.8.2), one
/// that is acknowledged only after 60 s (ms).
const SILENCE: u64 = 60_000;

#[test]
fn every_durable_request_ends_once() {
    tell(1_000, story);
}

struct Asked {
    device: usize,
    id: RequestId,
    /// Tells it from the others, on the wire and on the device.
    arguments: String,
    at: u64,
}

fn story(seed: u64) {
    let mut chance = Chance::new(seed ^ 0x6475_7261);
    let weather = Weather {
        lost: chance.below(40) as u8,
        doubled: chance.below(30) as u8,
        slowest: chance.between(5, 3_000),
    };
    let shards = chance.between(1, 3) as usize;
    let mut world = World::new(seed, &DEVICES, shards, weather);
    let mut asked: Vec<Asked> = Vec::new();
    while world.now < BAD_TIMES {
        let pause = chance.between(10, 40_000);
        world.run_until((world.now + pause).min(BAD_TIMES));
        let device = chance.below(DEVICES.len() as u64) as usize;
        match chance.below(16) {
            0..8 => {
                let arguments = format!("0='{}'", asked.len());
                let execute = Operation::Execute {
                    path: Counter::PATH,
                    arguments: arguments.clone(),
                };
                let life = chance.between(1_000, LIFE);
                let at = world.now;
                if let Some(id) = world.ask_durably(device, execute, life) {
                    asked.push(Asked {
                        device,
                        id,
                        arguments,
                        at,
                    });
                }
                if chance.percent(20) {
                    world.cut_server(chance.between(0, 60_000));
                }
            }
            8 if !asked.is_empty() => {
                let one = &asked[chance.below(asked.len() as u64) as usize];
                world.withdraw(one.device, one.id);
            }
            9 => world.rebind(device),
            10 => {
                let off = chance.between(0, 90_000);
                let now = world.now;
                world.devices[device].cut_power(now, off);
            }
            // Away for longer than its registration lasts.
            11 => {
                let off = chance.between(300_000, 700_000);
                let now = world.now;
                world.devices[device].cut_power(now, off);
            }
            12 => world.disk.failing = chance.below(40) as u8,
            13 => world.cut_server(chance.between(0, 60_000)),
            14 => world.network.weather.lost = chance.below(101) as u8,
            _ => {}
        }
    }
    world.network.weather = Weather::FAIR;
    world.disk.failing = 0;
    world.run_until(BAD_TIMES + LIFE + 120_000);
    for one in &asked {
        check(&world, seed, one);
    }
}

fn check(world: &World, seed: u64, asked: &Asked) {
    let Asked {
        device,
        id,
        arguments,
        at,
    } = asked;
    let device = &world.devices[*device];
    let told = &world.server.as_ref().expect("it runs").told;
    let ends = told.ends.get(id).map_or(&[][..], Vec::as_slice);
    let what = format!("seed {seed}: {arguments} of {}", device.endpoint);

    let key = request_key(device.endpoint, *id);
    let accepted = world.disk.written.contains(&key);
    // It ended, and the news died with the server.
    let unheard = usize::from(world.disk.unheard.contains(&key));
    let ended = ends.len() + unheard;
    if accepted {
        assert_eq!(ended, 1, "{what} ended {ended} times: {ends:?}");
    } else {
        assert!(ended <= 1, "{what} was not accepted and ended: {ends:?}");
    }
    for end in ends {
        let fine = matches!(
            end,
            Outcome::Done | Outcome::Expired | Outcome::Cancelled(_) | Outcome::NotRegistered
        );
        assert!(fine, "{what} ended with {end:?}");
    }

    let sent = world.executes.get(arguments).map_or(0, |t| t.len()) as u64;
    let executed = device.counter.count(arguments);
    let heard = device.heard.fresh(arguments);
    let arrivals = told.arrivals.get(&Endpoint::from(device.endpoint));
    let allowed = 1 + arrivals.copied().unwrap_or(0) + (world.now - at) / SILENCE;
    assert!(sent <= allowed, "{what} was sent {sent} times");
    assert!(executed <= heard, "{what}: {executed} times for {heard}");
    if !accepted {
        assert_eq!(sent, 0, "{what} was sent though it was not accepted");
    }
    if ends.contains(&Outcome::Done) {
        assert!(executed > 0, "{what} was never done");
    }
}
