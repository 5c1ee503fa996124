//! Whose packages the device takes: its trust anchors (27300/0/14), and what follows for modules
//! when they change.

use lwm2m_objects::Value;
use tinsmith_coap::Code;
use tinsmith_package::{
    Algorithm, Anchors, Authentication, Head, KeyId, MAX_ANCHOR, MAX_ANCHORS, PackageError,
    Refusal, TrustAnchor, Unsupported, Untrusted, sha256,
};

use super::Device;
use super::capability::Facts;
use super::storage::ANCHORS;
use crate::config::Config;
use crate::flash::FlashRead;
use crate::handler::{Done, Target, Ticket};
use crate::store::codec::{Reader, Writer};
use crate::update::firmware::{FirmwareState, Trigger, UpdateResult};
use crate::update::slot::{ModelResult, NOBODY};

const SCHEMA: u8 = 1;

/// Longest payload of a package with trust anchors.
const MAX_SET: u32 = (1 + MAX_ANCHORS * MAX_ANCHOR) as u32;

/// The trust anchors.
pub(crate) struct Trust<'a> {
    pub(crate) anchors: &'a mut Anchors,
    /// What is on flash can't be read: nothing is taken until there are anchors again.
    locked: bool,
    /// Sequence number of the package that brought them; 0 if a bootstrap did.
    pub(crate) sequence: u64,
    /// The request that is replacing them.
    request: Option<Ticket>,
}

/// A head that has arrived.
pub(super) struct Announced<'h> {
    pub(super) head: &'h Head<'h>,
    pub(super) authentication: &'h Authentication<'h>,
    /// As many bytes have arrived as it says.
    pub(super) fits: bool,
}

impl<'a> Trust<'a> {
    pub(crate) const fn new(anchors: &'a mut Anchors) -> Self {
        Self {
            anchors,
            locked: false,
            sequence: 0,
            request: None,
        }
    }

    /// Takes what the journal has, else those of the factory.
    pub(crate) fn load(&mut self, stored: Option<&[u8]>, config: &Config<'_>) {
        *self.anchors = Anchors::EMPTY;
        self.sequence = 0;
        self.request = None;
        self.locked = false;
        match stored {
            Some(stored) => self.locked = self.read(stored).is_none(),
            None => {
                for anchor in config.trust_anchors {
                    self.locked |= !self.anchors.add(*anchor);
                }
            }
        }
    }

    fn read(&mut self, stored: &[u8]) -> Option<()> {
        let mut r = Reader::new(stored);
        if r.u8()? != SCHEMA {
            return None;
        }
        self.sequence = r.u64()?;
        for _ in 0..r.u8()? {
            let key = r.short()?;
            let anchor = match key.len() {
                32 => TrustAnchor::new(Algorithm::EdDsa, key),
                _ => TrustAnchor::new(Algorithm::Es256, key),
            }?;
            self.anchors.add(anchor).then_some(())?;
        }
        Some(())
    }

    pub(super) fn encode(&self, buf: &mut [u8]) -> Option<usize> {
        let mut w = Writer::new(buf);
        w.u8(SCHEMA);
        w.u64(self.sequence);
        w.u8(self.anchors.len() as u8);
        for anchor in self.anchors.iter() {
            w.short(anchor.key());
        }
        w.finish()
    }

    /// A module that was signed so may run.
    pub(crate) fn trusts(&self, signer: &KeyId) -> bool {
        !self.locked && (self.anchors.is_empty() || self.anchors.find(signer).is_some())
    }

    /// Highest sequence number that is not taken any more (/27303/x/23), with that of the modules.
    pub(crate) fn floor(&self, modules: u64) -> u64 {
        modules.max(self.sequence)
    }

    /// Takes the anchors of a package that is signed with one of those before; false while bytes
    /// of it are missing.
    #[inline(never)]
    pub(super) fn take(
        &mut self,
        announced: &Announced<'_>,
        payload: &[u8],
        floor: u64,
        facts: &Facts,
        config: &Config<'_>,
    ) -> Result<bool, PackageError> {
        let head = announced.head;
        head.check(&facts.package_receiver(config, MAX_SET, self.floor(floor)))?;
        if !announced.fits {
            return Err(PackageError::Malformed);
        }
        if self.anchors.is_empty() {
            // Nobody could vouch for the first.
            return Err(Refusal::Component.into());
        }
        self.verify(announced.authentication, config)?;
        if payload.len() < head.size as usize {
            return Ok(false);
        }
        if sha256(payload) != head.digest {
            return Err(PackageError::PayloadDigest);
        }
        let set = Anchors::parse(payload, config.signatures).ok_or(Unsupported::Component)?;
        *self.anchors = set;
        self.sequence = head.sequence;
        self.request = None;
        Ok(true)
    }

    /// The key that signed a package, [`NOBODY`] if none is asked for.
    #[inline(never)]
    pub(super) fn verify(
        &self,
        authentication: &Authentication<'_>,
        config: &Config<'_>,
    ) -> Result<KeyId, Untrusted> {
        if self.locked {
            return Err(Untrusted::UnknownKey(NOBODY));
        }
        let signer = authentication.verify(self.anchors, config.signatures)?;
        Ok(signer.unwrap_or(NOBODY))
    }
}

impl Device<'_> {
    /// Whether a value of a Write of 27300 would be taken: a trust anchor of a bootstrap server.
    pub(crate) fn check_anchor(&self, target: Target, value: Value<'_>) -> Result<(), Code> {
        let place = target.resource_instance.unwrap_or(0);
        let Value::Opaque(bytes) = value else {
            return Err(Code::BAD_REQUEST);
        };
        let known = TrustAnchor::parse(bytes, self.config.signatures);
        match known {
            Some(_) if usize::from(place) < MAX_ANCHORS => Ok(()),
            _ => Err(Code::BAD_REQUEST),
        }
    }

    /// Takes a value that was checked; those of one request replace all that were there.
    pub(crate) fn write_anchor(&mut self, ticket: Ticket, value: Value<'_>) -> Result<Done, Code> {
        let Value::Opaque(bytes) = value else {
            return Err(Code::BAD_REQUEST);
        };
        let anchor = TrustAnchor::parse(bytes, self.config.signatures).ok_or(Code::BAD_REQUEST)?;
        if self.trust.request != Some(ticket) {
            self.trust.request = Some(ticket);
            *self.trust.anchors = Anchors::EMPTY;
            self.trust.locked = false;
        }
        self.trust.anchors.add(anchor);
        self.storage.mark(ANCHORS);
        self.log.changed();
        Ok(Done::Stored)
    }

    /// The anchors are on flash: what they do not vouch for does not run.
    pub(crate) fn anchors_stored(&mut self) {
        self.log.changed();
        if self.fail_untrusted() {
            self.update_changed();
        }
    }

    /// Ends what is there of modules that nobody vouches for; true if something changed.
    pub(super) fn fail_untrusted(&mut self) -> bool {
        let mut changed = false;
        // One that takes the place of another is looked at in its turn.
        for slot in [0, 1, 0] {
            let state = &mut self.update.state;
            let entry = state.slots.get(usize::from(slot));
            let runs = entry.is_some_and(|s| s.state.holds_module());
            if !runs || entry.is_none_or(|s| self.trust.trusts(&s.signer)) {
                continue;
            }
            changed = true;
            let on_trial = state.trial() == Some(slot);
            let downloaded = state.firmware.state == FirmwareState::Downloaded;
            if downloaded && state.target == Some(slot) {
                self.refuse_package(UpdateResult::IntegrityFailed, ModelResult::Signature);
            }
            let _ = self.update.state.fail(slot, ModelResult::Signature);
            if on_trial {
                self.trial_ended();
            } else {
                self.stop_job();
                self.forget_input();
                self.engine.forget_result();
            }
        }
        changed
    }

    /// The journal did not take the anchors: they are again what is there.
    pub(super) fn take_back_anchors(&mut self, flash: &dyn FlashRead) {
        let stored = self.storage.journal.get(ANCHORS, flash);
        self.trust.load(stored, &self.config);
        self.log.changed();
    }

    /// A package has replaced the anchors: Object 5 goes all of its way at once.
    pub(super) fn anchors_taken(&mut self) {
        self.drop_receiver();
        self.storage.mark(ANCHORS);
        let way = [
            Trigger::PackageComplete,
            Trigger::UpdateStarted,
            Trigger::Committed,
        ];
        for trigger in way {
            // The table has these rows from Downloading on.
            let _ = self.update.state.trigger(trigger);
        }
        self.update_changed();
    }
}
