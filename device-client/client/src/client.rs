//! The client: inputs to parts, parts to outputs.

use core::net::SocketAddr;

use tinsmith_coap::{self as coap, Received, Sent};

use crate::bootstrap::Bootstrap;
use crate::device::{Device, Op};
use crate::event::Event;
use crate::flash::FlashOp;
use crate::object::View;
use crate::objects::{Objects, Tree};
use crate::platform::{Now, Platform, instant};
use crate::session::Session;
use crate::shell::{DATAGRAM, Input, Output};
use crate::upload::BodyBuffer;

/// An LwM2M client.
pub struct Client<'a> {
    pub(crate) device: Device<'a>,
    pub(crate) objects: Objects<'a>,
    pub(crate) bootstrap: Bootstrap<'a>,
    /// The bootstrap server, then the management servers by instance of object 1.
    pub(crate) sessions: &'a mut [Session<'a>],
    pub(crate) body: BodyBuffer<'a>,
    /// The datagram that answers the last one received.
    pub(crate) answer: &'a mut [u8; DATAGRAM],
    pub(crate) answer_to: Option<(SocketAddr, usize)>,
    /// What runs in the arena may go on for a step.
    pub(crate) may_step: bool,
    /// The last step has made work for the next poll.
    pub(crate) restless: bool,
    pub(crate) stopping: bool,
}

impl Client<'_> {
    /// Something happened. Call [`poll`](Self::poll) afterwards until it gives nothing.
    pub fn handle(&mut self, now: Now, input: Input<'_>, platform: &mut dyn Platform) {
        match input {
            Input::Datagram { from, bytes } => self.datagram(now, from, bytes, platform),
            Input::FlashDone(result) => self.device.flash_done(result.is_ok(), platform),
            Input::Timer => {}
            Input::Changed(path) => self.changed(&path),
            // What it changed may have to reach the flash.
            Input::Done(ticket, result) => self.done(ticket, result, true),
            Input::Stop => self.stopping = true,
        }
        self.carry_out_wishes(now);
        self.may_step = true;
    }

    /// A datagram has arrived; as [`Input::Datagram`].
    #[cfg(not(feature = "dtls"))]
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

    fn datagram(&mut self, now: Now, from: SocketAddr, bytes: &[u8], platform: &mut dyn Platform) {
        let Some(index) = self.session_at(from) else {
            return;
        };
        // Nobody who has no key is listened to.
        let plain = |s: &Session<'_>| s.link().is_some_and(|l| !l.secure.is_on());
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
        let session = &mut self.sessions[index];
        let Some(link) = session.link_mut() else {
            return;
        };
        let from = link.address;
        match link.coap.handle(instant(now), bytes) {
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
                self.answer_to = len.map(|len| (from, len));
            }
            Received::Acknowledged(Sent::Notification(token)) => {
                session.notification_confirmed(now, token);
            }
            Received::Reset(Sent::Request(token)) => {
                self.response(now, index, token, None, platform);
            }
            Received::Reset(Sent::Notification(token)) => session.cancel_observation(token),
            Received::Reset(Sent::Other(id)) => session.cancel_by_message_id(id),
            Received::Reset(_)
            | Received::Acknowledged(_)
            | Received::Alive
            | Received::Nothing(_) => {}
        }
    }

    /// The answer (or, if there was none, `None`) to a request of ours.
    fn response(
        &mut self,
        now: Now,
        index: usize,
        token: coap::Token,
        message: Option<&coap::Message<'_>>,
        platform: &mut dyn Platform,
    ) {
        if index == 0 {
            if let Some(reason) = self.bootstrap.response(now, token, message) {
                self.bootstrap_failed(now, reason, platform);
            }
            return;
        }
        let session = &mut self.sessions[index];
        session.registration_response(now, token, message, &mut self.device, platform);
        self.look_for_servers(now, platform);
    }

    /// Asks the bootstrap server if no other server is there.
    pub(crate) fn look_for_servers(&mut self, now: Now, platform: &mut dyn Platform) {
        // As long as one server is there, the others are asked again and again.
        let mut servers = self.sessions[1..].iter().filter_map(Session::is_failing);
        if servers.all(|failing| failing) && self.device.has_bootstrap() {
            self.bootstrap.forget_failures();
            self.start_bootstrap(now, platform);
        }
    }

    /// The next thing to do, none if the client waits. `buf` holds a datagram: 1,152 bytes, and 64
    /// more for servers with DTLS.
    // Its frame is no part of the shell's.
    #[inline(never)]
    pub fn poll<'b>(
        &'b mut self,
        now: Now,
        buf: &mut [u8],
        platform: &mut dyn Platform,
    ) -> Option<Output<'b>> {
        self.restless = false;
        while let Some((to, len)) = self.poll_datagrams(now, buf, platform) {
            if let Some(len) = self.seal(now, to, buf, len) {
                return Some(Output::Transmit { to, len });
            }
        }
        #[cfg(feature = "dtls")]
        self.keep_sessions(platform);
        if let Some(op) = self.device.storage_step(platform) {
            return Some(Output::Flash(match op {
                Op::Erase { offset, len } => FlashOp::Erase { offset, len },
                Op::ProgramJournal { offset, len } => FlashOp::Program {
                    offset,
                    data: &self.device.storage.buffer[..len as usize],
                },
                Op::ProgramPayload { offset, len } => FlashOp::Program {
                    offset,
                    data: &self.device.update.buffer[..len as usize],
                },
                Op::Sync => FlashOp::Sync,
            }));
        }
        while let Some((to, len)) = self.poll_own(now, buf, platform) {
            if let Some(len) = self.seal(now, to, buf, len) {
                return Some(Output::Transmit { to, len });
            }
        }
        #[cfg(feature = "dtls")]
        if let Some((to, len)) = self.poll_secure(now, buf, platform) {
            return Some(Output::Transmit { to, len });
        }
        if let Some(event) = self.device.log.take() {
            return Some(Output::Event(event));
        }
        self.step(now, platform);
        // What was found out above may have made work for the flash.
        if !self.device.storage_is_idle() || self.waits_for_flash() {
            return None;
        }
        if core::mem::take(&mut self.device.wishes.reboot) {
            return Some(Output::Reboot);
        }
        if self.stopping && !self.sessions.iter().any(Session::is_registered) {
            self.stopping = false;
            return Some(Output::Event(Event::Stopped));
        }
        None
    }

    /// What is sent of a message in `buf`; none if it can't be sent now, as if it were lost.
    fn seal(&mut self, now: Now, to: SocketAddr, buf: &mut [u8], len: usize) -> Option<usize> {
        let index = self.session_at(to)?;
        let link = self.sessions.get_mut(index)?.link_mut()?;
        link.secure.seal(now.mono, buf, len)
    }

    /// Lets what runs in the arena go on, once between two inputs.
    fn step(&mut self, now: Now, platform: &dyn Platform) {
        let running = self.device.engine.is_running();
        if running && core::mem::take(&mut self.may_step) {
            self.device.step_job(now, platform);
            self.carry_out_wishes(now);
            self.restless = !self.device.engine.is_running();
        }
    }

    /// What answers servers, and what time has brought.
    fn poll_datagrams(
        &mut self,
        now: Now,
        buf: &mut [u8],
        platform: &mut dyn Platform,
    ) -> Option<(SocketAddr, usize)> {
        if let Some((to, len)) = self.answer_to.take()
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

    /// Requests and notifications of our own.
    fn poll_own(
        &mut self,
        now: Now,
        buf: &mut [u8],
        platform: &mut dyn Platform,
    ) -> Option<(SocketAddr, usize)> {
        let device = &mut self.device;
        if !self.stopping
            && let Some(session) = self.sessions.first_mut()
            && let Some(sent) = self
                .bootstrap
                .poll_request(now, device, session, buf, platform)
        {
            return Some(sent);
        }
        let objects = self.objects;
        if self.bootstrap.is_operational() {
            for session in self.sessions.iter_mut() {
                let stopping = self.stopping;
                let sent = session.poll_registration(now, stopping, objects, device, buf, platform);
                if sent.is_some() {
                    return sent;
                }
            }
        }
        let view = View {
            now,
            device,
            platform,
        };
        let tree = Tree { objects, view };
        let mut sessions = self.sessions.iter_mut();
        sessions.find_map(|s| s.poll_notifications(&tree, buf))
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

    /// When to call with [`Input::Timer`], on the monotonic clock in milliseconds.
    ///
    /// While a model runs, that is at once.
    pub fn next_deadline(&self) -> Option<u64> {
        if self.restless || self.device.engine.is_running() {
            return Some(0);
        }
        let registers = self.bootstrap.is_operational() && !self.stopping;
        let mut next = u64::MAX;
        let mut at = |deadline: Option<u64>| next = next.min(deadline.unwrap_or(u64::MAX));
        for session in self.sessions.iter() {
            at(session.link().and_then(|l| l.next_deadline(registers)));
            at(session.notification_deadline(&self.device));
        }
        at(self.device.update.trial_deadline);
        // A Bootstrap-Request that is due waits for its handshake.
        let mut links = self.sessions.iter().take(1).filter_map(Session::link);
        if !links.any(|link| link.secure.is_connecting()) {
            at(self.bootstrap.deadline());
        }
        (next < u64::MAX).then_some(next)
    }

    /// What the application says of one of its objects.
    fn changed(&mut self, path: &lwm2m_objects::Path) {
        let log = &mut self.device.log;
        log.named = log.named.wrapping_add(1);
        if path.depth() < 2 {
            log.instances_changed();
        }
        for session in self.sessions.iter_mut() {
            session.mark_changed(path);
        }
    }

    /// What handlers want of the sessions.
    fn carry_out_wishes(&mut self, now: Now) {
        let wishes = &mut self.device.wishes;
        let binding = core::mem::take(&mut wishes.binding);
        if let Some(instance) = wishes.update.take() {
            for session in self.sessions.iter_mut() {
                session.trigger_update(now, instance, binding);
            }
        }
        if let Some(instance) = wishes.disable.take() {
            let timeout = self.device.accounts.server(instance);
            let timeout = timeout.map_or(0, |s| s.disable_timeout);
            for session in self.sessions.iter_mut() {
                session.disable(instance, timeout);
            }
        }
        let wishes = &mut self.device.wishes;
        let finished = wishes.finished.take();
        if let Some(path) = wishes.forget_upload.take() {
            for link in self.sessions.iter_mut().filter_map(|s| s.link_mut()) {
                link.upload.take_if(|u| u.path == path);
            }
        }
        if let Some(f) = finished {
            self.done(f.ticket, f.result, f.stored);
        }
    }
}
