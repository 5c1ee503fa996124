//! The client: inputs to parts, parts to outputs.

use core::net::SocketAddr;

use lwm2m_objects::Path;
use tinsmith_coap::block::Assembler;
use tinsmith_coap::{self as coap, Block, Code, Received, RequestHandle, Sent};

use crate::bootstrap::Phase;
use crate::facts::Facts;
use crate::flash::{FlashOp, FlashRead, SLOTS};
use crate::link::{Peer, Registration, instant};
use crate::objects::inference::Inference;
use crate::observe::Observation;
use crate::platform::{
    BODY, Buffers, Config, ConfigError, DATAGRAM, Event, Input, Memory, Now, Output, Platform,
    RECEIVE,
};
use crate::storage::{ACCOUNTS, Op, PROGRESS, Storage, UPDATE};
use crate::store::accounts::Accounts;
use crate::store::journal::{BUFFER, Journal};
use crate::update::firmware::Firmware;
use crate::update::receiver::Receiver;
use crate::update::slot::{ModelResult, SlotState};
use crate::update::state::{Shown, UpdateState};

/// Events that wait to be taken; the oldest gives way.
const EVENTS: usize = 16;

pub(crate) struct Buf<'a> {
    pub(crate) flash: &'a mut [u8; BUFFER],
    pub(crate) receive: &'a mut [u8; RECEIVE],
    /// Taken out while a request is handled; empty meanwhile.
    pub(crate) body: &'a mut [u8],
    pub(crate) answer: &'a mut [u8; DATAGRAM],
}

/// A request whose answer waits until everything is on flash.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pending {
    pub(crate) peer: usize,
    pub(crate) handle: RequestHandle,
    pub(crate) code: Code,
    pub(crate) block1: Option<Block>,
    /// It is the Finish of a bootstrap.
    pub(crate) finish: bool,
    /// It is a block of a package.
    pub(crate) package: bool,
}

/// A body that arrives in blocks.
pub(crate) struct Assembly {
    pub(crate) peer: usize,
    pub(crate) path: Path,
    /// The limit of the assembler; another one, after a change of the model, begins anew.
    pub(crate) max_body: usize,
    pub(crate) assembler: Assembler,
}

/// An LwM2M client.
pub struct Client<'a> {
    pub(crate) config: Config<'a>,
    pub(crate) facts: Facts,
    pub(crate) peers: &'a mut [Peer],
    pub(crate) observations: &'a mut [Observation],
    pub(crate) arena: &'a mut [u8],
    pub(crate) buffers: Buf<'a>,
    pub(crate) phase: Phase,
    pub(crate) accounts: Accounts,
    pub(crate) update: UpdateState,
    pub(crate) receiver: Option<Receiver>,
    pub(crate) storage: Storage,
    pub(crate) pending: Option<Pending>,
    pub(crate) assembly: Option<Assembly>,
    pub(crate) inference: Inference,
    /// Slot whose golden inputs must be run.
    pub(crate) self_test_due: Option<u8>,
    /// Monotonic milliseconds at which the trial ends.
    pub(crate) trial_deadline: Option<u64>,
    /// Counts every change of a readable value but time; the ETag of answers in blocks.
    pub(crate) changes: u32,
    /// Seconds to add to the clock, from a write of /3/0/13.
    pub(crate) wall_offset: i64,
    /// /3/0/11
    pub(crate) error_code: u8,
    /// Execute /1/x/9.
    pub(crate) bootstrap_wanted: bool,
    /// What servers are told of the update.
    pub(crate) shown: Shown,
    pub(crate) told_firmware: Firmware,
    pub(crate) told_slots: [(SlotState, ModelResult); SLOTS],
    pub(crate) reboot: bool,
    pub(crate) stopping: bool,
    /// The answer to the last datagram, in `buffers.answer`.
    answer: Option<(SocketAddr, usize)>,
    events: [Option<Event>; EVENTS],
}

impl<'a> Client<'a> {
    /// Reads the flash and starts: with a Register if there are accounts, else with a bootstrap.
    ///
    /// # Errors
    /// The board gave something that can't work.
    #[allow(clippy::needless_pass_by_value)]
    pub fn new(
        config: Config<'a>,
        memory: Memory<'a>,
        now: Now,
        platform: &mut dyn Platform,
    ) -> Result<Self, ConfigError> {
        config.layout.check()?;
        if config.endpoint.is_empty() || config.endpoint.len() > 64 {
            return Err(ConfigError::Endpoint);
        }
        crate::uri::parse(config.bootstrap_uri).ok_or(ConfigError::BootstrapUri)?;
        let factory = Accounts::factory(config.bootstrap_uri).ok_or(ConfigError::BootstrapUri)?;
        if memory.peers.len() < 2 {
            return Err(ConfigError::Peers);
        }
        let facts = Facts::read(config.capability)?;
        let aligned = memory.arena.as_ptr().align_offset(32) == 0;
        if memory.arena.len() < facts.arena_total as usize || !aligned {
            return Err(ConfigError::Arena);
        }
        let Buffers {
            flash,
            receive,
            body,
            answer,
        } = memory.buffers;
        let body: &'a mut [u8; BODY] = body;
        let flash_read: &dyn FlashRead = platform;
        let journal = Journal::mount(config.layout.journal, config.layout.write_unit, flash_read);
        let accounts = journal.get(ACCOUNTS, flash_read).and_then(Accounts::decode);
        let update = journal
            .get(UPDATE, flash_read)
            .and_then(UpdateState::decode);
        let receiver = journal.get(PROGRESS, flash_read).and_then(Receiver::decode);
        for peer in memory.peers.iter_mut() {
            peer.link = None;
        }
        memory.observations.fill(Observation::EMPTY);
        let mut client = Self {
            config,
            facts,
            peers: memory.peers,
            observations: memory.observations,
            arena: memory.arena,
            buffers: Buf {
                flash,
                receive,
                body,
                answer,
            },
            phase: Phase::Operational,
            accounts: accounts.unwrap_or(factory),
            update: update.unwrap_or(UpdateState::NEW),
            receiver: None,
            storage: Storage::new(journal),
            pending: None,
            assembly: None,
            inference: Inference::NEW,
            self_test_due: None,
            trial_deadline: None,
            changes: platform.random() & 0xFFFF,
            wall_offset: 0,
            error_code: 0,
            bootstrap_wanted: false,
            shown: UpdateState::NEW.shown(),
            told_firmware: Firmware::NEW,
            told_slots: [(SlotState::Empty, ModelResult::None); SLOTS],
            reboot: false,
            stopping: false,
            answer: None,
            events: [None; EVENTS],
        };
        client.resume_update(now, receiver, platform);
        // What follows from the journal is as good as written: a further reset finds the same.
        client.shown = client.update.shown();
        if client.accounts.is_consistent() {
            client.connect_servers(now, platform);
        } else {
            client.start_bootstrap(now, 0, platform);
        }
        Ok(client)
    }

    /// Something happened. Call [`poll`](Self::poll) afterwards until it gives nothing.
    pub fn handle(&mut self, now: Now, input: Input<'_>, platform: &mut dyn Platform) {
        match input {
            Input::Datagram { from, bytes } => self.datagram(now, from, bytes, platform),
            Input::FlashDone(result) => self.flash_done(now, result.is_ok(), platform),
            Input::Timer => {}
            Input::Stop => self.stopping = true,
        }
    }

    fn datagram(&mut self, now: Now, from: SocketAddr, bytes: &[u8], platform: &mut dyn Platform) {
        // The bootstrap server comes first in the table; a management server with its address is
        // meant as soon as there is one.
        let known = self
            .peers
            .iter()
            .rposition(|p| p.link.as_ref().is_some_and(|l| l.address == from));
        let Some(peer) = known else { return };
        let Some(link) = self.peers[peer].link.as_mut() else {
            return;
        };
        match link.coap.handle(instant(now), bytes) {
            Received::Request { handle, message } => {
                self.request(now, peer, handle, &message, platform);
            }
            Received::Response { token, message } => {
                self.response(now, peer, token, Some(&message), platform);
            }
            Received::Notification { handle, .. } => {
                let len = link.coap.reject(instant(now), handle, self.buffers.answer);
                self.answer = len.map(|len| (from, len));
            }
            Received::Acknowledged(Sent::Notification(token)) => {
                self.notification_confirmed(now, peer, token);
            }
            Received::Reset(sent) => self.reset_by_peer(now, peer, sent, platform),
            Received::Acknowledged(_) | Received::Alive | Received::Nothing(_) => {}
        }
    }

    fn reset_by_peer(&mut self, now: Now, peer: usize, sent: Sent, platform: &mut dyn Platform) {
        match sent {
            Sent::Request(token) => self.response(now, peer, token, None, platform),
            Sent::Notification(token) => self.cancel_observation(peer, token),
            Sent::Other(id) => self.cancel_by_message_id(peer, id),
            Sent::Response(_) | Sent::Ping => {}
        }
    }

    /// The answer (or, if there was none, `None`) to a request of ours.
    fn response(
        &mut self,
        now: Now,
        peer: usize,
        token: coap::Token,
        message: Option<&coap::Message<'_>>,
        platform: &mut dyn Platform,
    ) {
        if self.bootstrap_response(now, peer, token, message, platform) {
            return;
        }
        self.registration_response(now, peer, token, message, platform);
    }

    /// The next thing to do, none if the client waits. `buf` holds a datagram: 1,152 bytes.
    pub fn poll<'b>(
        &'b mut self,
        now: Now,
        buf: &mut [u8],
        platform: &mut dyn Platform,
    ) -> Option<Output<'b>> {
        if let Some((to, len)) = self.answer.take()
            && let (Some(place), Some(bytes)) = (buf.get_mut(..len), self.buffers.answer.get(..len))
        {
            place.copy_from_slice(bytes);
            return Some(Output::Transmit { to, len });
        }
        if let Some((to, len)) = self.poll_coap(now, buf, platform) {
            return Some(Output::Transmit { to, len });
        }
        if let Some((to, len)) = self.poll_pending(now, buf, platform) {
            return Some(Output::Transmit { to, len });
        }
        self.poll_trial(now, platform);
        self.poll_bootstrap(now, platform);
        let flash: &dyn FlashRead = platform;
        if let Some(op) = self.storage_step(now, flash) {
            return Some(Output::Flash(match op {
                Op::Erase { offset, len } => FlashOp::Erase { offset, len },
                Op::ProgramJournal { offset, len } => FlashOp::Program {
                    offset,
                    data: &self.buffers.flash[..len as usize],
                },
                Op::ProgramPayload { offset, len } => FlashOp::Program {
                    offset,
                    data: &self.buffers.receive[..len as usize],
                },
                Op::Sync => FlashOp::Sync,
            }));
        }
        if let Some((to, len)) = self.poll_requests(now, buf, platform) {
            return Some(Output::Transmit { to, len });
        }
        if let Some((to, len)) = self.poll_notifications(now, buf, platform) {
            return Some(Output::Transmit { to, len });
        }
        if let Some(event) = self.take_event() {
            return Some(Output::Event(event));
        }
        // What was found out above may have made work for the flash.
        if !self.storage_is_idle() || self.pending.is_some() {
            return None;
        }
        if self.reboot {
            self.reboot = false;
            return Some(Output::Reboot);
        }
        if self.stopping && self.nothing_registered() {
            self.stopping = false;
            return Some(Output::Event(Event::Stopped));
        }
        None
    }

    fn poll_coap(
        &mut self,
        now: Now,
        buf: &mut [u8],
        platform: &mut dyn Platform,
    ) -> Option<(SocketAddr, usize)> {
        for peer in 0..self.peers.len() {
            while let Some(link) = self.peers[peer].link.as_mut() {
                let Some(output) = link.coap.poll(instant(now), buf) else {
                    break;
                };
                match output {
                    coap::Output::Transmit(len) => return Some((link.address, len)),
                    coap::Output::TimedOut(Sent::Request(token)) => {
                        self.response(now, peer, token, None, platform);
                    }
                    coap::Output::TimedOut(Sent::Notification(token)) => {
                        self.cancel_observation(peer, token);
                    }
                    coap::Output::TimedOut(_) => {}
                }
            }
        }
        None
    }

    /// Answers the request that waited for the flash.
    fn poll_pending(
        &mut self,
        now: Now,
        buf: &mut [u8],
        platform: &mut dyn Platform,
    ) -> Option<(SocketAddr, usize)> {
        if !self.storage_is_idle() {
            return None;
        }
        let lost = core::mem::take(&mut self.storage.gave_up);
        let mut pending = self.pending.take()?;
        if lost {
            pending.code = Code::INTERNAL_SERVER_ERROR;
        }
        let code = pending.code;
        if core::mem::take(&mut pending.finish) {
            self.bootstrap_stored(now, code, platform);
        }
        let link = self.peers.get_mut(pending.peer)?.link.as_mut()?;
        let answer = link
            .coap
            .respond(instant(now), pending.handle, code, buf, |b| {
                if let Some(block) = pending.block1 {
                    b.block(coap::OptionNumber::BLOCK1, block)?;
                }
                Ok(())
            });
        match answer {
            Ok(made) => Some((link.address, made.len)),
            // A notification is not acknowledged yet; its end wakes us.
            Err(coap::SendError::Busy) => {
                self.pending = Some(pending);
                None
            }
            Err(_) => None,
        }
    }

    /// When to call with [`Input::Timer`], on the monotonic clock in milliseconds.
    pub fn next_deadline(&self) -> Option<u64> {
        let coap = self.peers.iter().filter_map(|p| {
            let link = p.link.as_ref()?;
            link.coap.next_deadline().map(coap::Instant::as_millis)
        });
        let registrations = self
            .peers
            .iter()
            .filter_map(|p| match p.link.as_ref()?.registration {
                Registration::Due { at, .. } => Some(at),
                Registration::Registered { update_at, .. } => Some(update_at),
                _ => None,
            });
        let registrations =
            registrations.filter(|_| matches!(self.phase, Phase::Operational) && !self.stopping);
        let notifications = self.notification_deadlines();
        let all = coap.chain(registrations).chain(notifications);
        all.chain(self.trial_deadline)
            .chain(self.phase.deadline())
            .min()
    }

    /// Sends the answer to the request that is being handled with the next poll.
    pub(crate) fn answer(
        &mut self,
        now: Now,
        peer: usize,
        handle: RequestHandle,
        code: Code,
        build: impl FnOnce(&mut coap::Builder<'_>) -> Result<(), coap::BuildError>,
    ) {
        let Some(link) = self.peers.get_mut(peer).and_then(|p| p.link.as_mut()) else {
            return;
        };
        let made = link
            .coap
            .respond(instant(now), handle, code, self.buffers.answer, build);
        if let Ok(made) = made {
            self.answer = Some((link.address, made.len));
        }
    }

    /// ETag of what can be read now: changes, and what moves without being counted as one.
    pub(crate) fn etag(&self, now: Now) -> [u8; 8] {
        let left = self.trial_deadline.map_or(0, |at| self.trial_left(at, now));
        let held = self.receiver.as_ref().map_or(0, Receiver::told);
        let moving = (left as u32).rotate_left(16) ^ held;
        ((u64::from(self.changes) << 32) | u64::from(moving)).to_be_bytes()
    }

    /// /27303/x/13
    pub(crate) fn trial_left(&self, deadline: u64, now: Now) -> u64 {
        deadline.saturating_sub(now.mono).div_ceil(1000)
    }

    /// Something readable has changed.
    pub(crate) fn changed(&mut self) {
        self.changes = self.changes.wrapping_add(1);
    }

    pub(crate) fn event(&mut self, event: Event) {
        let free = self
            .events
            .iter()
            .position(Option::is_none)
            .unwrap_or_else(|| {
                self.events.rotate_left(1);
                EVENTS - 1
            });
        self.events[free] = Some(event);
    }

    fn take_event(&mut self) -> Option<Event> {
        let event = self.events[0].take();
        self.events.rotate_left(1);
        event
    }
}
