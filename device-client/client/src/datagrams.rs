//! Datagrams of servers, and to them: through DTLS, OSCORE and CoAP.

use core::net::SocketAddr;

use tinsmith_coap::{self as coap, Dropped, Received, Sent};

use crate::client::{AnswerTo, Client};
use crate::platform::{Now, Platform, instant};
#[cfg(any(feature = "dtls", feature = "oscore"))]
use crate::session::Link;
use crate::session::Session;
use crate::shell::Input;

impl Client<'_> {
    /// A datagram has arrived. As [`Input::Datagram`](crate::Input::Datagram), but from servers with
    /// DTLS or OSCORE as well: what they send is opened in place.
    // Its frame is no part of the shell's.
    #[cfg(any(feature = "dtls", feature = "oscore"))]
    #[inline(never)]
    pub fn receive(
        &mut self,
        now: Now,
        from: SocketAddr,
        bytes: &mut [u8],
        platform: &mut dyn Platform,
    ) {
        let protected = self.session_at(from).filter(|index| {
            let link = self.sessions.get(*index).and_then(|s| s.link());
            link.is_some_and(Link::is_protected)
        });
        if let Some(index) = protected {
            self.unwrap(now, index, bytes, platform);
        }
        let input = match protected {
            Some(_) => Input::Timer,
            None => Input::Datagram { from, bytes },
        };
        self.handle(now, input, platform);
    }

    /// A datagram of a server with DTLS or OSCORE.
    #[cfg(any(feature = "dtls", feature = "oscore"))]
    fn unwrap(&mut self, now: Now, index: usize, bytes: &mut [u8], platform: &mut dyn Platform) {
        #[cfg(feature = "dtls")]
        if self.is_secure(index) {
            return self.records(now, index, bytes, platform);
        }
        self.inbound(now, index, bytes, platform);
    }

    /// What a server has sent, without DTLS.
    #[cfg(any(feature = "dtls", feature = "oscore"))]
    pub(crate) fn inbound(
        &mut self,
        now: Now,
        index: usize,
        bytes: &mut [u8],
        platform: &mut dyn Platform,
    ) {
        #[cfg(feature = "oscore")]
        if self.is_sealed(index) {
            return self.open(now, index, bytes, platform);
        }
        self.message(now, index, bytes, platform);
    }

    /// A datagram has arrived; as [`Input::Datagram`].
    #[cfg(not(any(feature = "dtls", feature = "oscore")))]
    pub fn receive(
        &mut self,
        now: Now,
        from: SocketAddr,
        bytes: &mut [u8],
        platform: &mut dyn Platform,
    ) {
        self.handle(now, Input::Datagram { from, bytes }, platform);
    }

    /// The session of the server at an address. The bootstrap server comes first in the table; a
    /// management server with its address is meant as soon as there is one.
    pub(crate) fn session_at(&self, address: SocketAddr) -> Option<usize> {
        let mut sessions = self.sessions.iter();
        sessions.rposition(|s| s.link().is_some_and(|l| l.address == address))
    }

    pub(crate) fn datagram(
        &mut self,
        now: Now,
        from: SocketAddr,
        bytes: &[u8],
        platform: &mut dyn Platform,
    ) {
        let Some(index) = self.session_at(from) else {
            return;
        };
        // Nobody who has no key is listened to.
        let plain = |s: &Session<'_>| s.link().is_some_and(|l| !l.is_protected());
        if self.sessions.get(index).is_some_and(plain) {
            self.message(now, index, bytes, platform);
        }
    }

    /// A message of a server.
    pub(crate) fn message(
        &mut self,
        now: Now,
        index: usize,
        bytes: &[u8],
        platform: &mut dyn Platform,
    ) {
        let Some(link) = self.sessions.get_mut(index).and_then(|s| s.link_mut()) else {
            return;
        };
        let received = link.coap.handle(instant(now), bytes);
        self.received(now, index, received, platform);
    }

    /// What CoAP makes of a message of a server.
    #[inline]
    pub(crate) fn received(
        &mut self,
        now: Now,
        index: usize,
        received: Received<'_>,
        platform: &mut dyn Platform,
    ) {
        let session = &mut self.sessions[index];
        let Some(link) = session.link_mut() else {
            return;
        };
        let from = link.address;
        match received {
            Received::Request { handle, message } => {
                self.request(now, index, handle, &message, platform);
                let under_way = self.device.update.state.is_under_way();
                if let Some(link) = self.sessions[index].link_mut() {
                    link.heard(now, under_way);
                }
            }
            Received::Response { token, message } => {
                link.secure.answered();
                self.response(now, index, token, Some(&message), platform);
            }
            Received::Notification { handle, .. } => {
                let len = link.coap.reject(instant(now), handle, self.answer);
                self.answer_to = len.map(|len| AnswerTo::message((from, len)));
            }
            Received::Acknowledged(Sent::Notification(token)) => {
                session.notification_confirmed(now, token);
            }
            Received::Reset(Sent::Request(token)) => {
                self.response(now, index, token, None, platform);
            }
            Received::Reset(Sent::Notification(token)) => session.cancel_observation(token),
            Received::Reset(Sent::Other(id)) => session.cancel_by_message_id(id),
            Received::Nothing(Dropped::Duplicate) => link.heard_again(now),
            Received::Reset(_)
            | Received::Acknowledged(_)
            | Received::Alive
            | Received::Nothing(_) => {}
        }
    }

    /// What is sent of a message in `buf`; none if it can't be sent now, as if it were lost.
    pub(crate) fn seal(
        &mut self,
        now: Now,
        to: SocketAddr,
        buf: &mut [u8],
        len: usize,
        platform: &mut dyn Platform,
    ) -> Option<usize> {
        let index = self.session_at(to)?;
        let link = self.sessions.get_mut(index)?.link_mut()?;
        // Nothing is in it any more when something else is sent.
        let len = link.oscore.seal(buf, len, self.answer)?;
        link.secure.seal(now.mono, buf, len, platform)
    }

    /// What answers servers, and what time has brought.
    pub(crate) fn poll_datagrams(
        &mut self,
        now: Now,
        buf: &mut [u8],
        platform: &mut dyn Platform,
    ) -> Option<(SocketAddr, usize)> {
        if let Some(AnswerTo { to, len, .. }) = self.answer_to.take()
            && let (Some(place), Some(bytes)) = (buf.get_mut(..len), self.answer.get(..len))
        {
            place.copy_from_slice(bytes);
            return Some((to, len));
        }
        if let Some(sent) = self.poll_coap(now, buf, platform) {
            return Some(sent);
        }
        if let Some(sent) = self.poll_waiting(now, buf, platform) {
            return Some(sent);
        }
        let answered = !self.waits_for_flash();
        self.device.poll_trial(now, answered);
        self.carry_out_wishes(now);
        if core::mem::take(&mut self.device.wishes.bootstrap) {
            self.bootstrap.forget_failures();
            self.start_bootstrap(now, platform);
        }
        if let Some(reason) = self.bootstrap.poll_end(now) {
            self.bootstrap_failed(now, reason, platform);
        }
        None
    }

    fn poll_coap(
        &mut self,
        now: Now,
        buf: &mut [u8],
        platform: &mut dyn Platform,
    ) -> Option<(SocketAddr, usize)> {
        for index in 0..self.sessions.len() {
            while let session = &mut self.sessions[index]
                && let Some(link) = session.link_mut()
                && let Some(output) = link.coap.poll(instant(now), buf)
            {
                match output {
                    coap::Output::Transmit(len) => return Some((link.address, len)),
                    coap::Output::TimedOut(Sent::Request(token)) => {
                        link.secure.forget();
                        self.response(now, index, token, None, platform);
                    }
                    coap::Output::TimedOut(Sent::Notification(token)) => {
                        session.cancel_observation(token);
                    }
                    coap::Output::TimedOut(_) => {}
                }
            }
        }
        None
    }
}
