//! The client: inputs to parts, parts to outputs.

use core::net::SocketAddr;

use tinsmith_coap as coap;

use crate::bootstrap::Bootstrap;
use crate::device::{Device, Op};
use crate::event::Event;
use crate::flash::FlashOp;
use crate::object::View;
use crate::objects::{Objects, Tree};
use crate::platform::{Now, Platform};
use crate::session::{Link, Session};
use crate::shell::{DATAGRAM, Input, Output};
use crate::upload::BodyBuffer;

/// Where an answer goes.
#[derive(Clone, Copy)]
pub(crate) struct AnswerTo {
    pub(crate) to: SocketAddr,
    pub(crate) len: usize,
    /// It is sent without OSCORE, or has it already.
    #[cfg(feature = "oscore")]
    pub(crate) as_it_is: bool,
}

impl AnswerTo {
    /// An answer of CoAP.
    pub(crate) const fn message((to, len): (SocketAddr, usize)) -> Self {
        Self {
            to,
            len,
            #[cfg(feature = "oscore")]
            as_it_is: false,
        }
    }
}

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
    pub(crate) answer_to: Option<AnswerTo>,
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

    /// The answer (or, if there was none, `None`) to a request of ours.
    pub(crate) fn response(
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
    /// more for servers with DTLS; what OSCORE adds is in them.
    // Its frame is no part of the shell's.
    #[inline(never)]
    pub fn poll<'b>(
        &'b mut self,
        now: Now,
        buf: &mut [u8],
        platform: &mut dyn Platform,
    ) -> Option<Output<'b>> {
        self.restless = false;
        #[cfg(feature = "oscore")]
        if let Some((to, len)) = self.poll_as_it_is(now, buf, platform) {
            return Some(Output::Transmit { to, len });
        }
        while let Some((to, len)) = self.poll_datagrams(now, buf, platform) {
            if let Some(len) = self.seal(now, to, buf, len, platform) {
                return Some(Output::Transmit { to, len });
            }
        }
        #[cfg(feature = "dtls")]
        self.keep_sessions(platform);
        #[cfg(feature = "oscore")]
        self.keep_contexts(now, platform);
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
            if let Some(len) = self.seal(now, to, buf, len, platform) {
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

    /// Lets what runs in the arena go on, once between two inputs.
    fn step(&mut self, now: Now, platform: &dyn Platform) {
        let running = self.device.engine.is_running();
        if running && core::mem::take(&mut self.may_step) {
            self.device.step_job(now, platform);
            self.carry_out_wishes(now);
            self.restless = !self.device.engine.is_running();
        }
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
        if !links.any(Link::is_connecting) {
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
    pub(crate) fn carry_out_wishes(&mut self, now: Now) {
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
