//! Floods against the server: an honest device of another source, and a proven one behind the same
//! address, are served within ten seconds.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use lwm2m_objects::Path;
use tinsmith_coap::{Builder, Code, MessageType, OptionNumber, Token};
use tinsmith_lwm2m::{Operation, Outcome};
use tinsmith_world::{BOOTSTRAP, Datagram, Device, MANAGEMENT, Weather, World};

const PROVEN: &str = "pump-1";
const HONEST: &str = "scanner-2";
/// Datagrams of a flood in a millisecond.
const RATE: u16 = 4;
/// How long a flood lasts before somebody comes (ms).
const BEFORE: u64 = 15_000;
/// How long somebody may wait (ms).
const PATIENCE: u64 = 10_000;

/// What a flood consists of.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Register,
    FirstBlocks,
    Bootstrap,
}

fn message(kind: Kind, number: u32) -> Vec<u8> {
    let mut buffer = [0; 256];
    let token = Token::new(&number.to_be_bytes()).expect("short");
    let id = number as u16;
    let mut b = Builder::new(&mut buffer, MessageType::Confirmable, Code::POST, id, token)
        .expect("it has room");
    let path: &[u8] = match kind {
        Kind::Bootstrap => b"bs",
        Kind::Register | Kind::FirstBlocks => b"rd",
    };
    let name = format!("ep=flood-{number}");
    let build = |b: &mut Builder<'_>| {
        b.option(OptionNumber::URI_PATH, path)?;
        b.option(OptionNumber::URI_QUERY, name.as_bytes())?;
        if let Kind::Bootstrap = kind {
            return Ok(());
        }
        b.option(OptionNumber::URI_QUERY, b"lwm2m=1.1")?;
        b.option(OptionNumber::URI_QUERY, b"lt=4294967295")?;
        if let Kind::FirstBlocks = kind {
            // More blocks of 32 bytes follow.
            b.option(OptionNumber::BLOCK1, &[0x09])?;
        }
        b.payload(b"</1/0>,</3/0>,</5/0>,</27300/0>,").map(|_| ())
    };
    build(&mut b).expect("it has room");
    b.as_bytes().to_vec()
}

/// Whether the flood comes from everywhere, or from the address of the proven device.
fn source(everywhere: bool, number: u32) -> SocketAddr {
    let port = 1024 + (number % 30_000) as u16;
    let ip = if everywhere {
        Ipv4Addr::from(0x0b00_0000 + number * 7)
    } else {
        Ipv4Addr::new(198, 51, 100, 7)
    };
    SocketAddr::new(IpAddr::V4(ip), port)
}

/// Lets time pass in a flood until something is so; whether it is.
fn flooded(
    world: &mut World,
    number: &mut u32,
    (kind, everywhere): (Kind, bool),
    limit: u64,
    mut done: impl FnMut(&World) -> bool,
) -> bool {
    let to = match kind {
        Kind::Bootstrap => BOOTSTRAP,
        Kind::Register | Kind::FirstBlocks => MANAGEMENT,
    };
    let to: SocketAddr = to.parse().expect("an address");
    let end = world.now + limit;
    while world.now < end {
        for _ in 0..RATE {
            *number += 1;
            let from = source(everywhere, *number);
            let bytes = message(kind, *number);
            let now = world.now;
            world.network.send(now, Datagram { from, to, bytes });
        }
        world.run_until(world.now + 1);
        if done(world) {
            return true;
        }
    }
    false
}

#[test]
fn who_is_honest_is_served_in_a_flood() {
    for kind in [Kind::Register, Kind::FirstBlocks, Kind::Bootstrap] {
        for everywhere in [false, true] {
            story(kind, everywhere);
        }
    }
}

fn story(kind: Kind, everywhere: bool) {
    let what = format!("{kind:?} from everywhere: {everywhere}");
    let weather = Weather {
        slowest: 40,
        ..Weather::FAIR
    };
    let mut world = World::new(7, &[PROVEN], 2, weather);
    world.run_until(20_000);
    let mut number = 0;
    let flood = (kind, everywhere);
    flooded(&mut world, &mut number, flood, BEFORE, |_| false);

    // A device of another source bootstraps and registers.
    let address = SocketAddr::from(([192, 0, 2, 1], 5683));
    let device = Device::new(HONEST, address, 9, world.now);
    world.devices.push(device);
    let came = flooded(&mut world, &mut number, flood, PATIENCE, |world| {
        let server = world.server.as_ref().expect("it runs");
        server.is_registered(HONEST)
    });
    assert!(came, "{what}: {HONEST} does not get in");

    // The one behind the address of the flood is asked something, and registers anew.
    let read = Operation::read(Path::resource(3, 0, 0));
    let id = {
        let now = world.now;
        let server = world.server.as_mut().expect("it runs");
        server.request(now, PROVEN, read, PATIENCE, false)
    };
    let served = flooded(&mut world, &mut number, flood, PATIENCE, |world| {
        let server = world.server.as_ref().expect("it runs");
        let ends = server.told.ends.get(&id).map_or(&[][..], Vec::as_slice);
        matches!(ends, [Outcome::Content(_)])
    });
    assert!(served, "{what}: {PROVEN} is not served");
    let boots = world.devices[0].boots;
    let now = world.now;
    world.devices[0].cut_power(now, 0);
    let arrivals = |world: &World| {
        let server = world.server.as_ref().expect("it runs");
        server.told.arrivals.get(PROVEN).copied()
    };
    let before = arrivals(&world);
    let back = flooded(&mut world, &mut number, flood, PATIENCE, |world| {
        arrivals(world) > before && world.devices[0].boots > boots
    });
    assert!(back, "{what}: {PROVEN} does not come back");

    // What the flood leaves is bounded.
    let kept = world.disk.load(tinsmith_store::Kind::REGISTRATION).len();
    let slack = 200;
    assert!(kept <= 2 * 20_000 + slack, "{what}: {kept}");
    if !everywhere {
        assert!(kept <= 2 * 256 + slack, "{what}: {kept}");
    }
    let known = world.disk.load(tinsmith_store::Kind::DEVICE).len();
    assert_eq!(known, 0, "{what}: nothing is wanted of anybody");
}
