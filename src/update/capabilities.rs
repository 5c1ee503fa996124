//! What kinds of devices are made of, by capability digest.
//!
//! Equal devices have equal digests, so objects 27300 to 27302 are read once for each kind of
//! device and not once for each device.

use std::collections::HashMap;
use std::sync::Arc;

use lwm2m_objects::capability::Capability;

use tinsmith_store::{self as store, Key, Kind, Op, RecordError};

/// The most kinds of devices a shard remembers.
pub(super) const MAX: usize = 10_000;
/// Version of the records.
const SCHEMA: u16 = 1;

/// /27300/0/13.
pub type CapabilityDigest = [u8; 16];

/// The capabilities that are known.
#[derive(Default)]
pub(super) struct Capabilities {
    known: HashMap<CapabilityDigest, Arc<Capability>>,
}

impl Capabilities {
    pub(super) fn get(&self, digest: &CapabilityDigest) -> Option<&Arc<Capability>> {
        self.known.get(digest)
    }

    pub(super) fn is_full(&self) -> bool {
        self.known.len() >= MAX
    }

    /// Takes up a record of an earlier process.
    pub(super) fn restore(&mut self, bytes: &[u8]) -> Result<(), RecordError> {
        let capability: Capability = store::decode(SCHEMA, bytes)?;
        if !self.is_full() {
            self.known.insert(capability.digest(), Arc::new(capability));
        }
        Ok(())
    }

    /// Remembers one and gives the change of the store that makes it durable.
    pub(super) fn learn(&mut self, capability: Capability) -> Result<Op, RecordError> {
        let digest = capability.digest();
        let record = store::encode(SCHEMA, &capability)?;
        self.known.insert(digest, Arc::new(capability));
        Ok(Op::Put(Key::new(Kind::CAPABILITY, digest), record))
    }

    /// Forgets those that `used` does not name.
    pub(super) fn retain(&mut self, used: impl Fn(&CapabilityDigest) -> bool) {
        self.known.retain(|digest, _| used(digest));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_learnt_is_restored() {
        let json = tinsmith_targets::json("nrf52840").unwrap();
        let capability = Capability::from_json(json).unwrap();
        let digest = capability.digest();
        let mut learnt = Capabilities::default();
        let Op::Put(key, record) = learnt.learn(capability.clone()).unwrap() else {
            panic!()
        };
        assert_eq!(key.id, digest);
        let mut restored = Capabilities::default();
        restored.restore(&record).unwrap();
        assert_eq!(**restored.get(&digest).unwrap(), capability);
        assert!(restored.restore(&record[..9]).is_err());
    }
}
