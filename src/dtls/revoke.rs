//! Who came in, or is coming in, and may do so no more.

use std::net::SocketAddr;

use openssl::error::ErrorStack;
use tinsmith_dtls::{Alert, AlertDescription, Association, MAX_OVERHEAD, SoftAes};
use tinsmith_peer::Identity;

use crate::context;
use crate::handshake::{Failure, Handshake};
use crate::own::Own;
use crate::proven::By;
use crate::server::Server;

const DENIED: Alert = Alert::fatal(AlertDescription::ACCESS_DENIED);

impl Server {
    /// Whether who proved an identity by this comes in now, and is one device.
    pub(crate) fn lets_in(&self, identity: &Identity, by: &By) -> Option<bool> {
        let own = self.config.own.as_ref();
        let counts = own.is_none_or(|own| own.believed.counts(by));
        if !counts {
            return None;
        }
        match identity {
            Identity::Psk(identity) => {
                let psk = self.credentials.psk(identity)?;
                let same = *by == By::Unsaid || *by == By::key(&psk.key);
                same.then_some(psk.is_of_one)
            }
            Identity::RawKey(digest) => self.credentials.raw_key(digest),
            Identity::Certificate(name) => self.has_name(name, &[]),
            Identity::Certified(of) => self.has_name(&of.name, &[of.authority]),
            _ => None,
        }
    }

    fn has_name(&self, name: &String, authorities: &[[u8; 32]]) -> Option<bool> {
        let names = std::slice::from_ref(name);
        let found = self.credentials.certificate(names, authorities);
        found.map(|(_, is_of_one)| is_of_one)
    }

    /// The identity's key was taken away or changed: its associations end now, and handshakes that
    /// are under way with it. All are looked through if it `is_of_many` devices.
    pub fn revoke(&mut self, identity: &Identity, is_of_many: bool) {
        for (address, proven) in self.handshakes.proven() {
            if proven.identity == *identity {
                self.break_off(address);
            }
        }
        let its = match is_of_many {
            true => self.associations.of(identity),
            false => self.siblings.of_one(identity).into_iter().collect(),
        };
        for number in its {
            self.deny(number);
        }
    }

    /// Certificates or raw keys are believed no more, whichever: associations and handshakes of those
    /// end now.
    pub fn revoke_unknown(&mut self) {
        for (address, proven) in self.handshakes.proven() {
            if self.lets_in(&proven.identity, &proven.by).is_none() {
                self.break_off(address);
            }
        }
        let others = self.associations.others();
        let gone = others.filter(|(_, entry)| self.lets_in(&entry.identity, &entry.by).is_none());
        let gone: Vec<u32> = gone.map(|(number, _)| number).collect();
        for number in gone {
            self.deny(number);
        }
    }

    /// Shows and believes something else from now on: handshakes that begin get to see it, and whoever
    /// is believed no more is out.
    ///
    /// # Errors
    /// OpenSSL can't be set up; nothing has changed.
    pub fn renew(&mut self, own: Own) -> Result<(), ErrorStack> {
        let own = Some(own);
        self.context = context::context(&self.credentials, own.as_ref())?;
        self.config.own = own;
        self.revoke_unknown();
        Ok(())
    }

    /// Ends a handshake whose identity was taken away.
    fn break_off(&mut self, at: SocketAddr) {
        let handshake = self.handshakes.remove(at);
        match handshake.and_then(Handshake::detach) {
            Some(detached) => self.refuse(at, detached.association),
            None => self.failed(at, Failure::TakenAway),
        }
    }

    /// Does not begin an association whose identity was taken away.
    pub(crate) fn refuse(&mut self, to: SocketAddr, mut association: Association) {
        // It was not kept, and never will be.
        association.use_all_numbers();
        let mut record = [0; 2 + MAX_OVERHEAD];
        let sealed = association.seal_alert(&mut SoftAes::new(), DENIED, &mut record);
        if let Ok(len) = sealed {
            self.transmit(to, record[..len].to_vec());
        }
        self.failed(to, Failure::TakenAway);
    }

    /// Ends an association whose identity was taken away.
    pub(crate) fn deny(&mut self, number: u32) {
        self.end(number, Some(DENIED));
    }
}
