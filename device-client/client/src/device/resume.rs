//! The update after a reset, and after a record that the journal did not take; what is checked of a
//! module before it may run.

use sha2::{Digest as _, Sha256};
use tinsmith_module::Module;

use super::Device;
use super::storage::{PROGRESS, UPDATE};
use crate::flash::FlashRead;
use crate::update::firmware::{FirmwareState, UpdateResult};
use crate::update::receiver::Receiver;
use crate::update::slot::ModelResult;

impl Device<'_> {
    /// Digest, format and demands of the module in a slot. Gives the arena it needs.
    pub(super) fn check_module(
        &self,
        slot: u8,
        flash: &dyn FlashRead,
    ) -> Result<u32, (UpdateResult, ModelResult)> {
        use tinsmith_module::Refusal as Demand;
        let entry = &self.update.state.slots[usize::from(slot)];
        let region = &self.config.layout.slots[usize::from(slot)];
        if !self.trust.trusts(&entry.signer) {
            return Err((UpdateResult::IntegrityFailed, ModelResult::Signature));
        }
        let image = flash.read(region.offset, entry.size);
        if image.len() != entry.size as usize || Sha256::digest(image)[..] != entry.digest {
            return Err((UpdateResult::IntegrityFailed, ModelResult::Digest));
        }
        let unsupported = (UpdateResult::UnsupportedPackage, ModelResult::Unsupported);
        let module = Module::parse_for(image, self.config.kernels).map_err(|_| unsupported)?;
        if module.self_test_work() > self.facts.work() {
            return Err(unsupported);
        }
        let arena = self.engine.arena.len();
        let fits = self.facts.check_host(&module, &self.config, arena);
        fits.map_err(|refusal| match refusal {
            Demand::Abi { .. } => (UpdateResult::UnsupportedPackage, ModelResult::Abi),
            Demand::Arena { .. } | Demand::Stack { .. } => {
                (UpdateResult::OutOfRam, ModelResult::Arena)
            }
            _ => unsupported,
        })?;
        u32::try_from(module.arena_bytes()).map_err(|_| unsupported)
    }

    /// After a reset: ends a trial, goes on with a transfer, checks the committed module.
    pub(crate) fn resume_update(&mut self, receiver: Option<Receiver>, flash: &dyn FlashRead) {
        let mut changed = self.update.state.after_reset();
        changed |= self.fail_untrusted();
        match self.update.state.firmware.state {
            FirmwareState::Downloading => match receiver {
                Some(receiver) => {
                    self.update.receiver = Some(receiver);
                    if receiver.is_complete() {
                        self.package_complete(flash);
                    }
                }
                None => {
                    self.refuse_package(UpdateResult::ConnectionLost, ModelResult::None);
                }
            },
            FirmwareState::Downloaded => {
                self.update.receiver = receiver.map(Receiver::completed);
            }
            FirmwareState::Idle | FirmwareState::Updating => {}
        }
        // The committed module, and if it is broken the one before.
        for _ in 0..2 {
            let Some(active) = self.update.state.active() else {
                break;
            };
            let Err((_, why)) = self.check_module(active, flash) else {
                break;
            };
            let _ = self.update.state.fail(active, why);
            changed = true;
        }
        if changed {
            self.update_changed();
        }
    }

    /// The journal did not take the last change: the update is again what a reset would find.
    pub(crate) fn take_back_update(&mut self, flash: &dyn FlashRead) {
        let lost = self.update.state.firmware.state;
        self.drop_receiver();
        self.trial_ended();
        let journal = &self.storage.journal;
        let receiver = journal.get(PROGRESS, flash).and_then(Receiver::decode);
        self.update
            .state
            .decode(self.storage.journal.get(UPDATE, flash));
        let idle = self.update.state.firmware.state == FirmwareState::Idle;
        self.resume_update(receiver, flash);
        if idle && lost != FirmwareState::Idle {
            self.update.state.firmware.result = UpdateResult::NotEnoughFlash;
        }
        self.update_changed();
        // Nothing of it has to be written: it follows from what is there.
        self.storage.unmark(UPDATE);
        self.storage.unmark(PROGRESS);
        self.update.shown = self.update.state.shown();
    }
}
