//! Whatever comes in: no panic, bounded state.

use super::*;
use lwm2m_objects::Path;
use proptest::prelude::*;

fn busy() -> Sim {
    let mut sim = Sim::new();
    sim.register(peer(1), "dev1", 1);
    sim.command(1, "dev1", Operation::observe(Path::resource(5, 0, 3)));
    sim.command(2, "dev1", Operation::read(Path::object(3)));
    sim
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn random_bytes(
        datagrams in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..200), 0..2u8, 1..4u16), 1..40)
    ) {
        let mut sim = busy();
        for (bytes, listener, port) in &datagrams {
            route(bytes, 7);
            sim.inbound(ListenerId(*listener), peer(*port), bytes);
            sim.sent.clear();
            sim.advance(100);
        }
    }

    #[test]
    fn changed_messages(
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        which in 0..5usize,
        port in 1..3u16,
    ) {
        let mut sim = busy();
        let request = sim.sent.pop().unwrap().2;
        let request = Message::parse(&request).unwrap();
        let location = format!("rd/{}", sim.shard.registration("dev1").unwrap().location);
        let message = match which {
            0 => register("dev2", 9),
            1 => Msg::con(Code::POST, 9, b"u").path(&location).query("lt=9").payload(LINKS),
            2 => Msg::ack(&request, Code::CONTENT)
                .uint(OptionNumber::OBSERVE, 1)
                .uint(OptionNumber::CONTENT_FORMAT, 112)
                .payload(&[0x81, 0xa2, 0x21, 0x65, b'/', b'5', b'/', b'0', b'/', 0, 0x61, b'3', 2, 1]),
            3 => Msg::con(Code::POST, 9, b"b").path("bs").query("ep=dev3&pct=112"),
            _ => register("dev4", 9).uint(OptionNumber::BLOCK1, 0x0e),
        };
        let mut bytes = message.bytes();
        for (index, byte) in &flips {
            let at = index.index(bytes.len());
            bytes[at] ^= byte;
        }
        for listener in [MANAGEMENT, BOOTSTRAP] {
            sim.inbound(listener, peer(port), &bytes);
        }
        sim.advance(300_000);
        prop_assert!(sim.shard.registrations().count() <= 3);
    }
}
