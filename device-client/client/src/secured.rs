//! Servers with DTLS: their records in, ours out, and what a failed handshake means.

use core::net::SocketAddr;

use tinsmith_dtls::{HandshakeError, records};

use crate::client::Client;
use crate::event::{BootstrapError, Event};
use crate::platform::{Now, Platform};
use crate::secure::Step;

impl Client<'_> {
    /// A datagram has arrived. As [`Input::Datagram`](crate::Input::Datagram), but from servers with
    /// DTLS as well: their records are opened in place.
    // Its frame is no part of the shell's.
    #[inline(never)]
    pub fn receive(
        &mut self,
        now: Now,
        from: SocketAddr,
        bytes: &mut [u8],
        platform: &mut dyn Platform,
    ) {
        let secure = self.session_at(from).filter(|index| {
            let link = self.sessions.get(*index).and_then(|s| s.link());
            link.is_some_and(|l| l.secure.is_on())
        });
        if let Some(index) = secure {
            self.records(now, index, bytes, platform);
        }
        let input = match secure {
            Some(_) => crate::Input::Timer,
            None => crate::Input::Datagram { from, bytes },
        };
        self.handle(now, input, platform);
    }

    fn records(&mut self, now: Now, index: usize, bytes: &mut [u8], platform: &mut dyn Platform) {
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
            let credentials = self.device.accounts.credentials(security);
            match link.secure.handle(now.mono, record, &credentials) {
                Step::Message(message) if link.secure.hears(message) => {
                    self.message(now, index, message, platform);
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
            match link.secure.poll(now.mono, buf, platform) {
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
