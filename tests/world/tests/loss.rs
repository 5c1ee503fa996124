//! Kills of the server during an update on a network that loses messages: how long after the last
//! of them the device runs what is wanted.

use std::sync::Mutex;

use tinsmith_update::Summary;
use tinsmith_world::{Weather, World, tell};

const KILLS: u32 = 6;
/// No story takes longer than this after the last kill (ms): a registration has ended, and another
/// begun.
const LONGEST: u64 = 900_000;

/// Milliseconds from the last start of the server until the model is installed, with so many of
/// 100 datagrams lost each way.
fn story(seed: u64, lost: u8) -> u64 {
    let weather = Weather {
        lost,
        doubled: 0,
        slowest: 50,
    };
    let mut world = World::new(seed ^ 0x6c6f_7373, &["pump-1"], 1, weather);
    let is_known = |world: &World| world.status(0).is_some_and(|s| s.capability.is_some());
    assert!(world.run_while(LONGEST, |world| !is_known(world)));
    let id = world.want(0, "fashion").expect("the server runs");
    assert!(world.run_while(10_000, |world| !world.is_stored(id)));
    for _ in 0..KILLS {
        let pause = world.chance.between(100, 5_000);
        world.run_until(world.now + pause);
        let off = world.chance.between(0, 2_000);
        world.cut_server(off);
    }
    let start = world.now;
    let is_done = |world: &World| {
        let status = world.status(0);
        status.is_some_and(|s| s.summary == Summary::Installed)
    };
    let done = world.run_while(LONGEST, |world| !is_done(world));
    let status = world.status(0);
    assert!(done, "seed {seed}: not installed: {status:#?}");
    world.now - start
}

/// Of 1,000 stories 995 have ended within so long (ms).
fn check(times: &Mutex<Vec<u64>>, within: u64) {
    let mut times = times.lock().expect("no story panics with it").clone();
    times.sort_unstable();
    // One that is told alone has no others to be compared with.
    let Some(place) = (times.len() * 995).div_ceil(1000).checked_sub(1) else {
        return;
    };
    let (all, middle, last) = (times.len(), times[times.len() / 2], times.last());
    println!(
        "{all} stories: half within {middle} ms, 99.5 % within {} ms, all within {last:?} ms",
        times[place]
    );
    assert!(times[place] <= within, "99.5 % within {} ms", times[place]);
}

#[test]
fn a_tenth_is_lost_each_way() {
    static TIMES: Mutex<Vec<u64>> = Mutex::new(Vec::new());
    tell(500, |seed| {
        let time = story(seed, 10);
        TIMES.lock().expect("no panic with it").push(time);
    });
    check(&TIMES, 60_000);
}

#[test]
fn a_fifth_is_lost_each_way() {
    static TIMES: Mutex<Vec<u64>> = Mutex::new(Vec::new());
    tell(500, |seed| {
        let time = story(seed, 20);
        TIMES.lock().expect("no panic with it").push(time);
    });
    check(&TIMES, 240_000);
}
