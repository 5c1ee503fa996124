//! Several servers at one address: whichever of them a datagram comes to.

mod common;

use common::{CCM8, World, address, config, offer};
use tinsmith_dtls::Cid;
use tinsmith_dtls_server::{Config, Counters, NotSent};
use tinsmith_peer::{Identity, Peer};

const CID: Option<Cid> = Some(Cid::EMPTY);

fn keeping() -> Config {
    Config {
        reserve: Some(16),
        ..config()
    }
}

/// A device whose datagrams come to one of the servers, connected and heard.
fn connected_at(
    world: &mut World,
    server: usize,
    identity: &[u8],
    cid: Option<Cid>,
) -> (usize, Peer) {
    let next = address(world.devices.len());
    world.kernel.insert(next, server);
    let (device, peer) = world.connected(identity, offer(CCM8, cid));
    let owner = world.siblings.owner(peer.association);
    assert_eq!(owner, server % world.siblings.servers());
    (device, peer)
}

/// It says something, which is heard once, from its association.
fn speaks(world: &mut World, device: usize, association: u32, data: &[u8]) {
    let heard = world.heard.len();
    world.say(device, data);
    world.until("its data", |world| world.heard.len() > heard);
    world.settle();
    let at = world.devices[device].address;
    let peer = Peer {
        address: at,
        association,
    };
    assert_eq!(world.heard[heard..], [(peer, data.to_vec())]);
    world.answer(association, data);
    world.until("an answer", |world| {
        world.devices[device].received.last().map(Vec::as_slice) == Some(data)
    });
}

fn counters(world: &mut World) -> Counters {
    let mut sum = Counters::default();
    for index in 0..world.siblings.servers() {
        sum += world.at(index).counters();
    }
    sum
}

#[test]
fn a_device_that_moves_is_heard_by_its_own_server() {
    let mut world = World::with_servers(3, config(), 51);
    let (device, peer) = connected_at(&mut world, 1, b"device 1", CID);
    assert_eq!(world.handed_over, []);
    for server in [0, 2, 1, 0] {
        let moved = address(70 + server);
        world.kernel.insert(moved, server);
        world.devices[device].address = moved;
        speaks(&mut world, device, peer.association, &[server as u8]);
    }
    assert_eq!(world.handed_over, [1, 1, 1]);
    assert_eq!(world.loads(), [(0, 0), (0, 1), (0, 0)]);
    // What comes again, by whichever way, does nothing.
    let heard = world.heard.len();
    let (_, again) = world.tape.last().cloned().unwrap();
    for server in 0..3 {
        world.kernel.insert(address(90 + server), server);
        world.arrive(address(90 + server), &again);
    }
    assert_eq!(
        (world.heard.len(), counters(&mut world).dropped),
        (heard, 3)
    );
    assert_eq!(counters(&mut world).completed, 1);
}

#[test]
fn the_address_may_change_during_the_handshake() {
    let mut world = World::with_servers(3, config(), 52);
    world.kernel.insert(address(0), 2);
    let device = world.device(b"device 1", offer(CCM8, CID));
    world.until("a handshake", |world| world.is_open(device));
    assert_eq!(world.loads(), [(0, 0), (0, 0), (1, 0)]);
    // To the first.
    world.devices[device].address = address(77);
    world.say(device, b"moved");
    world.until("its data", |world| !world.heard.is_empty());
    let number = world.heard[0].0.association;
    assert_eq!(world.handed_over, [2]);
    speaks(&mut world, device, number, b"again");
    assert_eq!(world.loads(), [(0, 0), (0, 0), (0, 1)]);
}

/// A cookie is right at any of them: the second hello may come to another than the first.
#[test]
fn the_second_hello_comes_to_another_server() {
    let mut world = World::with_servers(3, config(), 53);
    world.kernel.insert(address(0), 1);
    let device = world.device(b"device 1", offer(CCM8, CID));
    world.until("a cookie", |world| !world.answers.is_empty());
    world.kernel.insert(address(0), 2);
    world.until("a handshake", |world| world.is_open(device));
    world.say(device, b"hello");
    world.until("its data", |world| !world.heard.is_empty());
    let sum = counters(&mut world);
    assert_eq!((sum.cookies, sum.begun, sum.completed), (1, 1, 1));
    assert_eq!(world.loads(), [(0, 0), (0, 0), (0, 1)]);
}

/// Numbers and Connection IDs of all are different.
#[test]
fn no_two_have_the_same_name() {
    let mut world = World::with_servers(3, config(), 54);
    let mut names = Vec::new();
    for server in 0..3 {
        let identity = format!("device {server}");
        let (device, _) = connected_at(&mut world, server, identity.as_bytes(), CID);
        let association = world.devices[device].client.association().unwrap();
        let name = association.peer_cid().as_bytes().to_vec();
        assert_eq!(usize::from(name[1]), server);
        names.push(name[5..].to_vec());
    }
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 3, "what can't be guessed is of each its own");
}

#[test]
fn restarts_with_more_and_with_fewer_servers() {
    for cid in [CID, None] {
        let mut world = World::with_servers(3, keeping(), 55);
        let devices: Vec<_> = (0..3)
            .map(|server| {
                let identity = format!("device {server}");
                connected_at(&mut world, server, identity.as_bytes(), cid)
            })
            .collect();
        let mut elsewhere = 0;
        for (seed, servers) in [1, 2, 4, 3, 1].into_iter().enumerate() {
            world.restart_with(servers, seed as u8);
            let all: usize = world.loads().iter().map(|(_, count)| count).sum();
            assert_eq!(all, 3);
            // The system gives them to others now.
            for at in world.kernel.values_mut() {
                *at = (*at + 1) % 4;
            }
            for (device, peer) in &devices {
                let came_to = world.kernel[&world.devices[*device].address] % servers;
                elsewhere += usize::from(world.siblings.owner(peer.association) != came_to);
                world.handed_over.clear();
                speaks(&mut world, *device, peer.association, &[seed as u8]);
                let owner = world.siblings.owner(peer.association);
                let expected: &[usize] = if owner == came_to { &[] } else { &[owner] };
                assert_eq!(world.handed_over, expected, "{servers} servers");
            }
        }
        assert!(elsewhere >= 3, "{elsewhere}: it shows nothing");
    }
}

/// What is no record of an association that goes on costs no other server anything, and nobody is
/// answered.
#[test]
fn garbage_is_handed_to_one_other_at_most() {
    let mut world = World::with_servers(3, keeping(), 56);
    let (device, peer) = connected_at(&mut world, 1, b"device 1", None);
    let record = world.record(device, b"x");
    world.answers.clear();
    // Nothing is kept of before: unknown addresses are nobody's.
    for n in 0..50 {
        world.kernel.insert(address(200 + n), n % 3);
        world.arrive(address(200 + n), &record);
    }
    assert_eq!(world.handed_over, []);
    // An association goes on: still only what has its address is handed over, to its server.
    world.restart_with(3, 2);
    for n in 0..50 {
        world.arrive(address(200 + n), &record);
    }
    assert_eq!(world.handed_over, []);
    world.kernel.insert(address(0), 2);
    let mut forged = record;
    *forged.last_mut().unwrap() ^= 1;
    world.arrive(address(0), &forged);
    assert_eq!(world.handed_over, [1]);
    // Whoever makes up Connection IDs has them looked at by one other.
    let mut made_up = vec![
        25, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 9, 1, 2, 3,
    ];
    made_up.extend_from_slice(&[0, 1, 0]);
    world.arrive(address(200), &made_up);
    assert_eq!(world.handed_over, [1, 2]);
    assert_eq!((world.heard.len(), world.answers.len()), (1, 0));
    assert_eq!(world.loads()[1], (0, 1));
    speaks(&mut world, device, peer.association, b"the device itself");
}

#[test]
fn a_later_handshake_ends_what_another_server_has() {
    for cid in [CID, None] {
        let mut world = World::with_servers(3, keeping(), 57);
        let (device, before) = connected_at(&mut world, 1, b"device 1", cid);
        let late = world.record(device, b"late");
        let from = world.devices[device].address;
        world.devices[device].address = address(77);
        world.kernel.insert(address(77), 2);
        world.connect(device);
        world.until("a handshake", |world| world.is_open(device));
        // Until it has brought data the old one serves.
        world.arrive(from, &late);
        assert_eq!(world.heard.last(), Some(&(before, b"late".to_vec())));
        world.is_prompt = false;
        world.say(device, b"new");
        world.until("its data", |world| world.heard.len() == 3);
        let after = world.heard[2].0;
        assert_eq!(world.store.keys().collect::<Vec<_>>(), [&after.association]);
        world.tell();
        assert_eq!(world.loads(), [(0, 0), (0, 0), (0, 1)]);
        assert_eq!(world.gone, [before]);
        world.arrive(from, &late);
        assert_eq!(world.heard.len(), 3);
        assert_eq!(
            world.at(1).send(before.association, b"x"),
            Err(NotSent::Gone)
        );
        speaks(&mut world, device, after.association, b"still there");
    }
}

/// Two handshakes are complete at the same time: one association is left, wherever the news crosses.
#[test]
fn handshakes_that_end_at_the_same_time_leave_one() {
    let mut world = World::with_servers(3, keeping(), 58);
    world.is_prompt = false;
    let (first, old) = connected_at(&mut world, 1, b"device 1", CID);
    let (_, new) = connected_at(&mut world, 2, b"device 1", CID);
    world.connect(first);
    world.until("a handshake", |world| world.is_open(first));
    world.say(first, b"once more");
    world.until("its data", |world| world.heard.len() == 3);
    let last = world.heard[2].0;
    // Nobody has been told yet.
    assert_eq!(world.loads().iter().map(|(_, n)| n).sum::<usize>(), 3);
    world.tell();
    assert_eq!(world.loads(), [(0, 0), (0, 1), (0, 0)]);
    assert_eq!(world.gone, [old, new]);
    speaks(&mut world, first, last.association, b"the last");
}

/// A crash between them leaves both in the store; one identity has one association all the same.
#[test]
fn a_crash_may_leave_two_of_one_identity() {
    for servers in [1, 3] {
        let mut world = World::with_servers(3, keeping(), 59);
        connected_at(&mut world, 1, b"device 1", CID);
        let old = world.store.clone();
        connected_at(&mut world, 2, b"device 1", CID);
        assert_eq!(world.store.len(), 1);
        world.store.extend(old);
        world.restart_with(servers, 9);
        world.poll_server();
        assert_eq!(world.loads().iter().map(|(_, n)| n).sum::<usize>(), 1);
        assert_eq!(world.store.len(), 1);
        let identity = Identity::Psk(b"device 1".to_vec());
        for index in 0..servers {
            world.at(index).revoke(&identity, false);
        }
        world.poll_server();
        assert_eq!(
            (
                world.loads().iter().all(|l| *l == (0, 0)),
                world.store.len()
            ),
            (true, 0)
        );
    }
}

#[test]
fn a_key_that_is_taken_away_ends_what_any_server_has() {
    let mut world = World::with_servers(3, keeping(), 60);
    for server in 0..3 {
        connected_at(&mut world, server, b"device of many", CID);
    }
    let (one, _) = connected_at(&mut world, 2, b"device 1", CID);
    let (other, its) = connected_at(&mut world, 2, b"device 2", CID);
    world.kernel.insert(address(world.devices.len()), 1);
    let coming = world.device(b"device 1", offer(CCM8, CID));
    world.until("a handshake", |world| world.is_open(coming));
    assert_eq!(world.loads(), [(0, 1), (1, 1), (0, 3)]);
    for (identity, is_of_many) in [(&b"device of many"[..], true), (b"device 1", false)] {
        let gone = world.keys.gone.lock();
        gone.expect("nobody panics with it").push(identity.to_vec());
        for index in 0..3 {
            let identity = Identity::Psk(identity.to_vec());
            world.at(index).revoke(&identity, is_of_many);
        }
    }
    world.poll_server();
    world.settle();
    assert_eq!(world.loads(), [(0, 0), (0, 0), (0, 1)]);
    assert_eq!((world.gone.len(), world.store.len()), (4, 1));
    for device in [one, coming] {
        assert!(world.devices[device].closed.is_some());
    }
    speaks(&mut world, other, its.association, b"still there");
}

/// A restored association without a Connection ID, whose address another server's handshake has.
#[test]
fn whom_the_old_association_serves_until_the_next_is_complete() {
    let mut world = World::with_servers(3, keeping(), 61);
    let (device, before) = connected_at(&mut world, 1, b"device of many", None);
    world.restart_with(3, 2);
    world.kernel.insert(address(0), 2);
    speaks(&mut world, device, before.association, b"after the restart");
    let late = world.record(device, b"late");
    let heard = world.heard.len();
    world.connect(device);
    world.until("a handshake", |world| world.is_open(device));
    assert_eq!(world.loads(), [(0, 0), (0, 1), (1, 0)]);
    world.arrive(address(0), &late);
    assert_eq!(world.heard[heard..], [(before, b"late".to_vec())]);
    world.say(device, b"new");
    world.until("its data", |world| world.heard.len() == heard + 2);
    assert_eq!(world.loads(), [(0, 0), (0, 0), (0, 1)]);
    assert_eq!(world.gone, [before]);
    world.handed_over.clear();
    let after = world.heard[heard + 1].0;
    speaks(&mut world, device, after.association, b"here");
    assert_eq!(
        world.handed_over,
        [],
        "nobody else has its address any more"
    );
}

#[test]
fn limits_are_of_all_together() {
    let config = Config {
        handshakes_per_source: 2,
        associations: 4,
        ..config()
    };
    let mut world = World::with_servers(3, config, 62);
    // Two from one address, at two servers; the third is not begun at any.
    for server in 0..3 {
        let at = std::net::SocketAddr::new(address(0).ip(), 6000 + server as u16);
        world.kernel.insert(at, server);
        let device = world.device(format!("device {server}").as_bytes(), offer(CCM8, CID));
        world.devices[device].address = at;
        world.connect(device);
    }
    world.until("a refusal", |world| {
        let servers = [&world.server].into_iter().chain(&world.others);
        servers.map(|server| server.counters().refused).sum::<u64>() > 0
    });
    assert_eq!(counters(&mut world).begun, 2);
    assert_eq!(world.loads().iter().map(|(n, _)| n).sum::<usize>(), 2);
}

/// The one that has most makes room, also for a server that has none.
#[test]
fn room_is_made_where_most_associations_are() {
    let config = Config {
        associations: 4,
        ..config()
    };
    let mut world = World::with_servers(3, config, 63);
    let mut peers = Vec::new();
    for n in 0..4 {
        let identity = format!("device {n}");
        peers.push(connected_at(&mut world, 0, identity.as_bytes(), CID).1);
        // So that it is known who was heard last.
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    connected_at(&mut world, 1, b"device 4", CID);
    connected_at(&mut world, 2, b"device 5", CID);
    assert_eq!(world.loads(), [(0, 2), (0, 1), (0, 1)]);
    assert_eq!(world.gone, peers[..2]);
    assert_eq!(counters(&mut world).evicted, 2);
}
