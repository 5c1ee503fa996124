//! The bytes of records, pinned: what is stored must be readable for ever.

use super::*;
use crate::tests::{MANAGEMENT, Msg, Sim, peer};
use crate::{Operation, RequestId, request_key};
use lwm2m_objects::hex;
use tinsmith_coap::{Code, Message, OptionNumber};
use tinsmith_store::{Batch, MemoryStore};

/// Of a device `steady`, written by the version before schema 2.
const OLD: &str = "\
        0001b0001b0000ba7d30b9a9240100020003a16256348284187f00000119d31604000580061a00015180\
        0763312e31086155098e82642f312f30f682622f3363312e3182642f332f30f682622f3563312e318264\
        2f352f30f682682f32373330302f30f682682f32373330312f30f682682f32373330322f30f682682f32\
        373330322f31f682682f32373330322f32f682682f32373330322f33f682682f32373330332f30f68268\
        2f32373330332f31f682682f32373330342f30f60a8600182a183c186e1870192d160b800c1b000001a2\
        14fb850c0d1b000001a214fb850c0e1b000001a21a21e10c0f848388184618ef18b6189c187e18b81863\
        18b4662f352f302f33f6838818460618b8188918d31827187118eb662f352f302f35f683881846187e18\
        ba188318a214187618936a2f32373330332f302f37f68388184618d818fd185f18e917187a18676a2f32\
        373330332f312f37f6";

const NEW: &str = "\
    0002b0636c6f631b0000daf2b8c3877c626964644e6f6e65626c6e006261646b3132372e302e302e313a\
    316261730062727480626c74183c617663312e3161626155626f6283a16170642f312f30a16170642f33\
    2f30a16170642f352f3062637484183c186e1870192d1662706181a2616e617861766179637265671b00\
    00018bcfe56800647365656e1b0000018bcfe56800636578701b0000018bcfe65260636f627381a26274\
    6b88185b186014182218ff18f018431896617081662f352f302f33";

fn records(sim: &Sim) -> Vec<(Key, Vec<u8>)> {
    let all = sim.store.records(Kind::REGISTRATION).into_iter();
    all.map(|(key, stored)| (key, stored.bytes)).collect()
}

fn observing() -> Sim {
    let mut sim = Sim::new();
    sim.register(peer(1), "dev1", 1);
    let path = Path::resource(5, 0, 3);
    sim.command(1, "dev1", Operation::observe(path));
    let request = sim.take_one();
    let request = Message::parse(&request).unwrap();
    let answer = Msg::ack(&request, Code::CONTENT)
        .uint(OptionNumber::OBSERVE, 1)
        .payload(b"0");
    sim.give(peer(1), answer);
    sim
}

#[test]
fn the_bytes_of_a_registration() {
    let sim = observing();
    let [(key, bytes)] = &records(&sim)[..] else {
        panic!("one device")
    };
    assert_eq!(key.to_bytes(), b"\0\0\x01dev1");
    assert_eq!(hex::encode(bytes), NEW);
}

#[test]
fn a_registration_of_schema_1_is_restored() {
    let store = MemoryStore::new();
    let bytes = hex::decode(OLD).unwrap();
    store.commit_now(&Batch::put(key("steady"), bytes)).unwrap();
    let mut sim = Sim::with(store, Sim::new().now);
    let found = sim.shard.registration("steady").unwrap();
    assert_eq!(found.location, "46-ba7d30b9a924");
    assert_eq!(
        (found.lifetime, found.announced.version.as_str()),
        (86_400, "1.1")
    );
    assert_eq!(found.announced.objects.len(), 14);
    assert_eq!(found.announced.objects[1].1.as_deref(), Some("1.1"));
    assert_eq!(found.announced.formats, [0, 42, 60, 110, 112, 11_542]);
    assert_eq!(found.registered, 1_795_648_357_644);
    let from = Peer::udp(found.address.parse().unwrap());

    // Its location still works, and what is written now has the new schema.
    let update = Msg::con(Code::POST, 2, b"u")
        .path(&format!("rd/{}", found.location))
        .query("lt=500");
    sim.inbound(MANAGEMENT, from, &update.bytes());
    assert_eq!(crate::tests::code(&sim.take_one()), Code::CHANGED);
    assert_eq!(records(&sim)[0].1[..2], [0, 2]);
    let sim = sim.restart();
    assert_eq!(sim.shard.registration("steady").unwrap().lifetime, 500);
}

#[test]
fn a_record_that_cannot_be_read_is_shown_and_set_aside() {
    let store = MemoryStore::new();
    let foreign = vec![0, 9, 0xa0];
    let at = key("dev1");
    store
        .commit_now(&Batch::put(at.clone(), foreign.clone()))
        .unwrap();
    let request = request_key("dev2", RequestId(5));
    store
        .commit_now(&Batch::put(request.clone(), foreign.clone()))
        .unwrap();
    let mut sim = Sim::restored(store, Sim::new().now, 2);
    assert!(sim.shard.registration("dev1").is_none());
    let text = sim.shard.unreadable_of("dev1").unwrap();
    assert!(text.contains("schema 9"), "{text}");
    assert!(sim.shard.unreadable_of("dev2").is_some());
    assert_eq!(sim.shard.unreadable_of("dev3"), None);

    // The device comes; what was there is kept.
    sim.register(peer(1), "dev1", 1);
    assert!(sim.shard.unreadable_of("dev1").is_none());
    let aside = sim.store.records(Kind::ASIDE);
    assert_eq!(aside.len(), 1);
    assert_eq!(aside[0].1.bytes, foreign);
    assert_eq!(&aside[0].0.id[9..], b"dev1");
    assert_eq!(sim.store.records(Kind::REQUEST)[0].1.bytes, foreign);
    assert!(sim.restart_with(1).shard.registration("dev1").is_some());
}
