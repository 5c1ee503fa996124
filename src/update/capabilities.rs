//! What kinds of devices are made of, by capability digest.
//!
//! Equal devices have equal digests, so objects 27300 to 27302 are read once for each kind of
//! device and not once for each device.

use std::collections::HashMap;
use std::sync::Arc;

use lwm2m_objects::capability::Capability;
use lwm2m_objects::{Path, ids};

use tinsmith_store::{self as store, Key, Kind, Op, RecordError, Stored};

/// The most kinds of devices a shard remembers.
pub(super) const MAX: usize = 10_000;
/// Version of the records; schema 1 is read too.
const SCHEMA: u16 = 2;

/// The objects a capability is made of, in the order in which they are read.
pub(super) const OBJECTS: [u16; 3] = [ids::COMPUTE_PLATFORM, ids::COMPUTE_UNIT, ids::MEMORY_REGION];

/// The object that is read after another.
pub(super) fn after(object: u16) -> Option<u16> {
    OBJECTS.into_iter().find(|other| *other > object)
}

/// Where a device says the digest of its capability.
pub(super) const DIGEST: Path = Path::resource(
    ids::COMPUTE_PLATFORM,
    0,
    ids::compute_platform::CAPABILITY_DIGEST,
);

/// Where a device says which keys it trusts.
pub(super) const TRUSTED: Path = Path::resource(
    ids::COMPUTE_PLATFORM,
    0,
    ids::compute_platform::TRUST_ANCHOR_IDS,
);

/// /27300/0/13.
pub type CapabilityDigest = [u8; 16];

/// The capabilities that are known.
#[derive(Default)]
pub(super) struct Capabilities {
    known: HashMap<CapabilityDigest, Arc<Capability>>,
    /// Records that can't be read.
    unreadable: HashMap<Key, Stored>,
}

impl Capabilities {
    pub(super) fn get(&self, digest: &CapabilityDigest) -> Option<&Arc<Capability>> {
        self.known.get(digest)
    }

    pub(super) fn is_full(&self) -> bool {
        self.known.len() >= MAX
    }

    /// Takes up a record of an earlier process.
    pub(super) fn restore(&mut self, key: &Key, stored: &Stored) -> Result<(), RecordError> {
        match store::decode::<Capability>(1..=SCHEMA, &stored.bytes) {
            Ok(capability) if !self.is_full() => {
                self.known.insert(capability.digest(), Arc::new(capability));
            }
            Ok(_) => {}
            Err(error) => {
                if self.unreadable.len() < MAX {
                    self.unreadable.insert(key.clone(), stored.clone());
                }
                return Err(error);
            }
        }
        Ok(())
    }

    /// Remembers one and gives the changes of the store that make it durable.
    pub(super) fn learn(&mut self, capability: Capability) -> Result<Vec<Op>, RecordError> {
        let digest = capability.digest();
        let record = store::encode(SCHEMA, &capability)?;
        self.known.insert(digest, Arc::new(capability));
        let key = Key::new(Kind::CAPABILITY, digest);
        let old = self.unreadable.remove(&key);
        let mut ops: Vec<Op> = old.iter().map(|old| Op::set_aside(&key, old)).collect();
        ops.push(Op::Put(key, record));
        Ok(ops)
    }

    /// Forgets those that `used` does not name, and gives the changes of the store that do.
    pub(super) fn retain(&mut self, used: impl Fn(&CapabilityDigest) -> bool) -> Vec<Op> {
        let forgotten = self.known.extract_if(|digest, _| !used(digest));
        let delete = |(digest, _)| Op::Delete(Key::new(Kind::CAPABILITY, digest));
        forgotten.map(delete).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lwm2m_objects::hex;
    use tinsmith_store::Version;

    fn capability() -> Capability {
        Capability::from_json(tinsmith_targets::json("nrf52840").unwrap()).unwrap()
    }

    fn stored(bytes: Vec<u8>) -> Stored {
        let version = Version(5);
        Stored { version, bytes }
    }

    #[test]
    fn what_was_learnt_is_restored() {
        let capability = capability();
        let digest = capability.digest();
        let mut learnt = Capabilities::default();
        let ops = learnt.learn(capability.clone()).unwrap();
        let [Op::Put(key, record)] = &ops[..] else {
            panic!("{ops:?}")
        };
        assert_eq!(key.id, digest);
        let mut restored = Capabilities::default();
        restored.restore(key, &stored(record.clone())).unwrap();
        assert_eq!(**restored.get(&digest).unwrap(), capability);
    }

    #[test]
    fn what_is_not_used_leaves_the_store_too() {
        let mut learnt = Capabilities::default();
        let used = capability();
        let mut unused = capability();
        unused.platform.arena_total += 1;
        for capability in [&used, &unused] {
            learnt.learn(capability.clone()).unwrap();
        }
        let ops = learnt.retain(|digest| *digest == used.digest());
        let key = Key::new(Kind::CAPABILITY, unused.digest());
        assert_eq!(ops, [Op::Delete(key)]);
        assert!(learnt.get(&used.digest()).is_some());
    }

    #[test]
    fn what_cannot_be_read_is_set_aside_and_not_overwritten() {
        let capability = capability();
        let key = Key::new(Kind::CAPABILITY, capability.digest());
        let old = stored(vec![0, 9, 0xa0]);
        let mut restored = Capabilities::default();
        assert!(restored.restore(&key, &old).is_err());
        assert!(restored.get(&capability.digest()).is_none());
        let ops = restored.learn(capability).unwrap();
        assert_eq!(ops[0], Op::set_aside(&key, &old));
        assert!(matches!(&ops[1], Op::Put(at, _) if *at == key));
        let Op::Put(aside, bytes) = &ops[0] else {
            panic!("{ops:?}")
        };
        assert_eq!((aside.kind, bytes), (Kind::ASIDE, &old.bytes));
        assert_eq!(aside.id[..9], [6, 0, 0, 0, 0, 0, 0, 0, 5]);
        assert_eq!(aside.id[9..], key.id);
    }

    /// Of the version before schema 2.
    const OLD: &str = "\
        0001a300ac006b6e726635323834302d646b016d6e524635323834305f7878414102757468756d627637\
        656d2d6e6f6e652d6561626968660301048102051a00018000061a00018000071a00060000081a000600\
        0009020a1a000300000b000181a800000169636f727465782d6d340200036861726d7637652d6d048263\
        6473706b667076342d73702d643136051a03d090000784000102040b8d82010182020182030182040182\
        0501820601820701820801820901820a01820b01820c01820d010284ab00000165464c41534802000300\
        041a0009000006191000070408050981010bfb3fb5c28f5c28f5c30c192710ab000101664d4f44454c53\
        0200031a00090000041a0006000006191000070408050981030bfb3fb5c28f5c28f5c30c192710ab0002\
        016553544154450200031a000f0000041a0001000006191000070408010981070bfb3fb5c28f5c28f5c3\
        0c192710a70003016352414d0201031a20000000041a00040000080f09820004";
    const NEW: &str = "\
        0002a368706c6174666f726dac6d706c6174666f726d5f6e616d656b6e726635323834302d646b68736f\
        635f706172746d6e524635323834305f787841416e636f6d70696c655f746172676574757468756d6276\
        37656d2d6e6f6e652d6561626968667372756e74696d655f6162695f76657273696f6e016e6d6f64756c\
        655f666f726d61747381026b6172656e615f746f74616c1a000180006a6172656e615f667265651a0001\
        8000736d6f64656c5f73746f726167655f746f74616c1a00060000726d6f64656c5f73746f726167655f\
        667265651a000600006b6d6f64656c5f736c6f7473026f6d61785f6d6f64756c655f73697a651a000300\
        006f626f6f745f70726f74656374696f6e0065756e69747381a868696e7374616e636500646e616d6569\
        636f727465782d6d3469756e69745f74797065006c6172636869746563747572656861726d7637652d6d\
        6a657874656e73696f6e7382636473706b667076342d73702d64313669636c6f636b5f6d61781a03d090\
        006a646174615f74797065738400010204696f70657261746f72738d8201018202018203018204018205\
        01820601820701820801820901820a01820b01820c01820d0167726567696f6e7384ab68696e7374616e\
        636500646e616d6565464c415348646b696e6400657374617274006473697a651a000900006a65726173\
        655f756e69741910006a77726974655f756e697404666163636573730565726f6c657381016e65726173\
        655f74696d655f6d6178fb3fb5c28f5c28f5c369656e647572616e6365192710ab68696e7374616e6365\
        01646e616d65664d4f44454c53646b696e64006573746172741a000900006473697a651a000600006a65\
        726173655f756e69741910006a77726974655f756e697404666163636573730565726f6c657381036e65\
        726173655f74696d655f6d6178fb3fb5c28f5c28f5c369656e647572616e6365192710ab68696e737461\
        6e636502646e616d65655354415445646b696e64006573746172741a000f00006473697a651a00010000\
        6a65726173655f756e69741910006a77726974655f756e697404666163636573730165726f6c65738107\
        6e65726173655f74696d655f6d6178fb3fb5c28f5c28f5c369656e647572616e6365192710a768696e73\
        74616e636503646e616d656352414d646b696e64016573746172741a200000006473697a651a00040000\
        666163636573730f65726f6c6573820004";

    #[test]
    fn the_bytes_of_both_schemas() {
        let old: Capability = store::decode(1..=1, &hex::decode(OLD).unwrap()).unwrap();
        let mut learnt = Capabilities::default();
        let ops = learnt.learn(old.clone()).unwrap();
        let [Op::Put(key, record)] = &ops[..] else {
            panic!("{ops:?}")
        };
        assert_eq!(hex::encode(record), NEW);
        for bytes in [OLD, NEW] {
            let mut restored = Capabilities::default();
            let stored = stored(hex::decode(bytes).unwrap());
            restored.restore(key, &stored).unwrap();
            assert_eq!(**restored.get(&old.digest()).unwrap(), old);
        }
    }
}
