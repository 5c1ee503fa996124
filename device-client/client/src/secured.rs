//! Servers with DTLS: their records in, ours out, and what a failed handshake means.

use core::net::SocketAddr;

use tinsmith_dtls::{HandshakeError, records};

use crate::client::Client;
use crate::event::{BootstrapError, Event};
use crate::platform::{Now, Platform};
use crate::secure::Step;

impl Client<'_> {
    /// The server has DTLS.
    pub(crate) fn is_secure(&self, index: usize) -> bool {
        let link = self.sessions.get(index).and_then(|s| s.link());
        link.is_some_and(|l| l.secure.is_on())
    }

    pub(crate) fn records(
        &mut self,
        now: Now,
        index: usize,
        bytes: &mut [u8],
        platform: &mut dyn Platform,
    ) {
        let Some(link) = self.sessions.get(index).and_then(|s| s.link()) else {
            return;
        };
        for record in records(bytes, link.secure.cid_len()) {
            let session = self.sessions.get_mut(index);
            let Some(link) = session.and_then(|s| s.link_mut()) else {
                return;
            };
            let Some(security) = link.secure.security() else {
                return;
            };
            let credentials = self.device.accounts.credentials(security, now);
            match link.secure.handle(now.mono, record, &credentials, platform) {
                Step::Message(message) if link.secure.hears(message) => {
                    self.inbound(now, index, message, platform);
                }
                Step::Failed(error) => self.handshake_failed(now, index, error, platform),
                Step::Nothing | Step::Message(_) | Step::Transmit(_) => {}
            }
        }
    }

    /// What DTLS itself has to send.
    pub(crate) fn poll_secure(
        &mut self,
        now: Now,
        buf: &mut [u8],
        platform: &mut dyn Platform,
    ) -> Option<(SocketAddr, usize)> {
        for index in 0..self.sessions.len() {
            let session = self.sessions.get_mut(index);
            let Some(link) = session.and_then(|s| s.link_mut()) else {
                continue;
            };
            let accounts = &self.device.accounts;
            match link.secure.poll(now, buf, accounts, platform) {
                Step::Transmit(len) => return Some((link.address, len)),
                Step::Failed(error) => self.handshake_failed(now, index, error, platform),
                Step::Nothing | Step::Message(_) => {}
            }
        }
        None
    }

    fn handshake_failed(
        &mut self,
        now: Now,
        index: usize,
        error: HandshakeError,
        platform: &mut dyn Platform,
    ) {
        self.device.log.event(Event::HandshakeFailed(error));
        if index == 0 {
            self.bootstrap_failed(now, BootstrapError::Insecure, platform);
        } else if let Some(session) = self.sessions.get_mut(index) {
            session.unreachable(now, &mut self.device, platform);
            self.look_for_servers(now, platform);
        }
    }
}
