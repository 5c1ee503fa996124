//! Which shard a datagram belongs to: by what it carries, else by what was learned of its sender.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use tinsmith_lwm2m::{
    Access, Identity, ListenerId, OscoreContexts, Peer, bucket, oscore_kid, owner,
};

use super::ROLES;

/// The most peers that are remembered, twice.
const GENERATION: usize = 200_000;

type Table = HashMap<(ListenerId, Peer), u8>;

/// Peers whose registrations were answered, and by which shard. Two generations: when the younger
/// is full it becomes the older, and the older is forgotten.
#[derive(Default)]
struct Learned {
    young: Table,
    old: Table,
}

/// Routes datagrams to shards.
pub(super) struct Router {
    shards: usize,
    /// Knows the names of devices that register without saying them.
    access: Option<Arc<dyn Access>>,
    generation: usize,
    contexts: Option<Arc<dyn OscoreContexts>>,
    learned: RwLock<Learned>,
}

impl Router {
    pub(super) fn new(
        shards: usize,
        access: Option<Arc<dyn Access>>,
        contexts: Option<Arc<dyn OscoreContexts>>,
    ) -> Self {
        Router {
            access,
            contexts,
            ..Self::with_memory(shards, GENERATION)
        }
    }

    fn with_memory(shards: usize, generation: usize) -> Self {
        Router {
            shards,
            access: None,
            generation,
            contexts: None,
            learned: RwLock::default(),
        }
    }

    /// The shard of a datagram. One that names no device and comes from nobody known is for
    /// the first.
    pub(super) fn shard(
        &self,
        listener: ListenerId,
        (peer, identity): (Peer, &Identity),
        datagram: &[u8],
    ) -> usize {
        if self.shards <= 1 {
            return 0;
        }
        if let Some(shard) = self.protected(datagram) {
            return shard;
        }
        let own_name = || {
            let access = self.access.as_ref()?;
            access.name_of(identity, *ROLES.get(usize::from(listener.0))?)
        };
        owner(datagram, self.shards, own_name)
            .or_else(|| self.learned_shard(listener, peer))
            .unwrap_or(0)
    }

    /// The shard that has the context of a protected request. What is outside of the protection says
    /// nothing of it.
    fn protected(&self, datagram: &[u8]) -> Option<usize> {
        let contexts = self.contexts.as_ref()?;
        let kid = oscore_kid(datagram)?;
        let context = contexts.context(&kid);
        Some(context.map_or(0, |its| usize::from(bucket(&its.endpoint)) % self.shards))
    }

    fn learned_shard(&self, listener: ListenerId, peer: Peer) -> Option<usize> {
        let learned = self.learned.read().unwrap_or_else(PoisonError::into_inner);
        let key = (listener, peer);
        let found = learned.young.get(&key).or_else(|| learned.old.get(&key));
        found.map(|shard| usize::from(*shard))
    }

    /// A shard answered a registration of this peer.
    pub(super) fn learn(&self, listener: ListenerId, peer: Peer, shard: u8) {
        if self.shards <= 1 {
            return;
        }
        let mut learned = self.learned.write().unwrap_or_else(PoisonError::into_inner);
        if learned.young.len() >= self.generation {
            learned.old = std::mem::take(&mut learned.young);
        }
        learned.young.insert((listener, peer), shard);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tinsmith_coap::{Builder, Code, MessageType, OptionNumber, Token};
    use tinsmith_lwm2m::{Issued, OscoreContext, OscoreStart, Role};
    use tinsmith_oscore::Master;
    use tinsmith_store::Op;

    const MANAGEMENT: ListenerId = ListenerId(0);

    fn peer(port: u16) -> Peer {
        Peer::udp(([10, 0, 0, 1], port).into())
    }

    /// A Send of LwM2M: it names no device.
    fn send() -> Vec<u8> {
        let mut buf = [0; 64];
        let mut b = Builder::new(
            &mut buf,
            MessageType::Confirmable,
            Code::POST,
            1,
            Token::EMPTY,
        )
        .unwrap();
        b.option(OptionNumber::URI_PATH, b"dp").unwrap();
        b.as_bytes().to_vec()
    }

    #[test]
    fn what_names_no_device_goes_where_its_sender_was_answered() {
        let router = Router::with_memory(4, GENERATION);
        assert_eq!(
            router.shard(MANAGEMENT, (peer(1), &Identity::None), &send()),
            0
        );
        router.learn(MANAGEMENT, peer(1), 3);
        assert_eq!(
            router.shard(MANAGEMENT, (peer(1), &Identity::None), &send()),
            3
        );
        assert_eq!(
            router.shard(MANAGEMENT, (peer(2), &Identity::None), &send()),
            0
        );
        assert_eq!(
            router.shard(ListenerId(1), (peer(1), &Identity::None), &send()),
            0
        );
        // It registers again, in another shard: another name.
        router.learn(MANAGEMENT, peer(1), 2);
        assert_eq!(
            router.shard(MANAGEMENT, (peer(1), &Identity::None), &send()),
            2
        );
        // An association of the same address is another peer.
        let secure = Peer {
            association: 9,
            ..peer(1)
        };
        assert_eq!(
            router.shard(MANAGEMENT, (secure, &Identity::None), &send()),
            0
        );
    }

    /// A device is its PSK identity.
    struct Same;

    impl Access for Same {
        fn may_be(&self, _: &Identity, _: &str) -> bool {
            true
        }

        fn may_bootstrap(&self, _: &Identity, _: &str) -> bool {
            true
        }

        fn name_of(&self, identity: &Identity, role: Role) -> Option<String> {
            match identity {
                Identity::Psk(name) if role == Role::Management => {
                    String::from_utf8(name.clone()).ok()
                }
                _ => None,
            }
        }

        fn registers(&self, _: &Identity, _: &str) -> Vec<Op> {
            Vec::new()
        }

        fn issue(&self, _: u64, _: &str, _: [u8; 32]) -> Result<Issued, String> {
            Err("no".to_owned())
        }
    }

    #[test]
    fn who_does_not_say_its_name_is_where_its_name_is() {
        let router = Router::new(4, Some(Arc::new(Same)), None);
        let register = |query: &[u8]| {
            let mut buf = [0; 64];
            let kind = MessageType::Confirmable;
            let mut b = Builder::new(&mut buf, kind, Code::POST, 1, Token::EMPTY).unwrap();
            b.option(OptionNumber::URI_PATH, b"rd").unwrap();
            b.option(OptionNumber::URI_QUERY, query).unwrap();
            b.as_bytes().to_vec()
        };
        for name in ["a", "b", "c", "d", "pump-1"] {
            let identity = Identity::Psk(name.into());
            let said = register(format!("ep={name}").as_bytes());
            let from = (peer(1), &identity);
            let shard = router.shard(MANAGEMENT, from, &said);
            assert_eq!(router.shard(MANAGEMENT, from, &register(b"lt=60")), shard);
            // There nobody has that name for certain.
            assert_eq!(router.shard(ListenerId(1), from, &register(b"lt=60")), 0);
        }
    }

    /// A context of the device of an ID's name.
    struct Named;

    impl OscoreContexts for Named {
        fn context(&self, kid: &[u8]) -> Option<Arc<OscoreContext>> {
            let endpoint = std::str::from_utf8(kid).ok().filter(|kid| *kid != "?")?;
            let master = Master::new(b"secret", b"", b"server", kid).unwrap();
            Some(Arc::new(OscoreContext {
                endpoint: endpoint.into(),
                master,
                start: OscoreStart::Fresh,
            }))
        }

        fn record(&self, _: &OscoreContext, _: &[u8]) -> Option<Op> {
            None
        }
    }

    #[test]
    fn what_is_protected_goes_to_who_has_its_context() {
        let router = Router::new(4, None, Some(Arc::new(Named)));
        for (kid, expected) in [
            ("d", usize::from(bucket("d")) % 4),
            ("e", usize::from(bucket("e")) % 4),
            ("?", 0),
        ] {
            // What is outside of the protection may say anything.
            let mut buf = [0; 64];
            let kind = MessageType::Confirmable;
            let mut b = Builder::new(&mut buf, kind, Code::POST, 1, Token::EMPTY).unwrap();
            let value = [&[9, 1], kid.as_bytes()].concat();
            b.option(OptionNumber::OSCORE, &value).unwrap();
            b.option(OptionNumber::URI_PATH, b"rd").unwrap();
            b.option(OptionNumber::URI_QUERY, b"ep=other").unwrap();
            b.payload(b"sealed").unwrap();
            let shard = router.shard(MANAGEMENT, (peer(1), &Identity::None), b.as_bytes());
            assert_eq!(shard, expected, "{kid}");
        }
    }

    #[test]
    fn the_memory_is_bounded_and_the_oldest_are_forgotten() {
        let router = Router::with_memory(4, 10);
        for port in 0..25 {
            router.learn(MANAGEMENT, peer(port), 1);
        }
        let learned = router.learned.read().unwrap();
        assert_eq!((learned.old.len(), learned.young.len()), (10, 5));
        drop(learned);
        assert_eq!(
            router.shard(MANAGEMENT, (peer(9), &Identity::None), &send()),
            0
        );
        assert_eq!(
            router.shard(MANAGEMENT, (peer(10), &Identity::None), &send()),
            1
        );
        assert_eq!(
            router.shard(MANAGEMENT, (peer(24), &Identity::None), &send()),
            1
        );
    }
}
