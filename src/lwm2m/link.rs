//! The way to a device: where it is reached, who must be there, and the CoAP state of both.

use tinsmith_coap::{
    BuildError, Builder, Code, NotificationHandle, Request, RequestHandle, SendError,
};
use tracing::warn;

use super::proof::Proof;
use super::shared::{Context, PeerCoap, Source};
use super::{Identity, ListenerId, Peer};

pub(super) struct Link {
    pub(super) listener: ListenerId,
    pub(super) peer: Peer,
    pub(super) identity: Identity,
    /// Boxed: a device moves from state to state.
    pub(super) coap: Box<PeerCoap>,
    /// That somebody is there.
    pub(super) proof: Proof,
    /// When it is left alone if it has proved nothing until then (monotonic, ms).
    pub(super) until: u64,
}

/// Why something was not asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotAsked {
    Coap(SendError),
    /// It is more than may be sent to an address that is not proven.
    Unproven,
}

/// Type of a message in its first byte (RFC 7252 §3).
const CONFIRMABLE: u8 = 0;

/// How long before its end a stranger is asked, in milliseconds: longer than CoAP repeats a
/// message.
const LAST_QUESTION: u64 = 120_000;

impl Link {
    /// To where a message came from.
    pub(super) fn new(cx: &mut Context<'_>, from: Source<'_>) -> Self {
        Link {
            listener: from.listener,
            peer: from.peer,
            identity: from.identity.clone(),
            coap: Box::new(cx.coap()),
            proof: proof(cx, from.peer, from.identity),
            until: cx.now.mono.saturating_add(cx.limits.stranger_lifetime),
        }
    }

    /// To where a device was before this process; an address that was not proven may be sent so
    /// many bytes.
    pub(super) fn restored(
        cx: &mut Context<'_>,
        (listener, peer): (ListenerId, Peer),
        identity: Identity,
        unproven: Option<u32>,
    ) -> Self {
        let proof = match (proof(cx, peer, &identity), unproven) {
            (Proof::None { .. }, Some(left)) => Proof::None { left },
            (Proof::None { .. }, None) => Proof::Answered,
            (given, _) => given,
        };
        Link {
            listener,
            peer,
            identity,
            coap: Box::new(cx.coap()),
            proof,
            until: cx.now.mono.saturating_add(cx.limits.stranger_lifetime),
        }
    }

    pub(super) fn route(&self) -> (ListenerId, Peer) {
        (self.listener, self.peer)
    }

    /// True if a message comes from there.
    pub(super) fn is_from(&self, from: Source<'_>) -> bool {
        self.route() == (from.listener, from.peer) && self.identity == *from.identity
    }

    /// The device sends from elsewhere now: nothing of the old conversation holds there.
    pub(super) fn rebind(&mut self, cx: &mut Context<'_>, listener: ListenerId, peer: Peer) {
        if self.route() != (listener, peer) {
            self.proof = proof(cx, peer, &self.identity);
            self.until = cx.now.mono.saturating_add(cx.limits.stranger_lifetime);
        }
        self.listener = listener;
        self.peer = peer;
        *self.coap = cx.coap();
    }

    /// When it should be asked whether it is there, or be left alone if it was asked (monotonic,
    /// ms); never if that is known.
    pub(super) fn proof_due(&self, asked: bool) -> u64 {
        match self.proof {
            Proof::None { .. } if asked => self.until,
            Proof::None { .. } => self.until.saturating_sub(LAST_QUESTION),
            _ => u64::MAX,
        }
    }

    /// Sends an answer that is in the buffer.
    fn transmit(&mut self, cx: &mut Context<'_>, len: usize) {
        self.proof.spend(len);
        cx.transmit(self.route(), &self.identity, len);
    }

    /// Sends what the CoAP state gave: an answer, or a repetition of what was not answered, which
    /// is lost if it is more than may be sent.
    pub(super) fn pass(&mut self, cx: &mut Context<'_>, len: usize) {
        let is_ours = cx.buffer.first().is_some_and(|b| b >> 4 & 3 == CONFIRMABLE);
        if is_ours && !self.proof.afford(len) {
            return;
        }
        if !is_ours {
            self.proof.spend(len);
        }
        cx.transmit(self.route(), &self.identity, len);
    }

    pub(super) fn request(
        &mut self,
        cx: &mut Context<'_>,
        request: Request,
        build: impl FnOnce(&mut Builder<'_>) -> Result<(), BuildError>,
    ) -> Result<(), NotAsked> {
        let (at, token) = (cx.at(), request.token);
        let started = self.coap.start_request(at, request, cx.buffer, build);
        let len = started.map_err(NotAsked::Coap)?;
        if !self.proof.afford(len) {
            self.coap.cancel(token);
            return Err(NotAsked::Unproven);
        }
        cx.transmit(self.route(), &self.identity, len);
        Ok(())
    }

    pub(super) fn respond(
        &mut self,
        cx: &mut Context<'_>,
        handle: RequestHandle,
        code: Code,
        build: impl FnOnce(&mut Builder<'_>) -> Result<(), BuildError>,
    ) {
        let at = cx.at();
        match self.coap.respond(at, handle, code, cx.buffer, build) {
            Ok(made) => self.transmit(cx, made.len),
            Err(error) => warn!(?error, peer = %self.peer, "no answer"),
        }
    }

    /// A notification is welcome, or the device shall send no more of them.
    pub(super) fn settle(&mut self, cx: &mut Context<'_>, handle: NotificationHandle, known: bool) {
        let at = cx.at();
        let made = if known {
            self.coap.accept(at, handle, cx.buffer)
        } else {
            self.coap.reject(at, handle, cx.buffer)
        };
        if let Some(len) = made {
            self.transmit(cx, len);
        }
    }
}

/// What is known of an address from which something comes for the first time.
fn proof(cx: &Context<'_>, peer: Peer, identity: &Identity) -> Proof {
    let here = cx.limits.exempt_loopback && peer.address.ip().to_canonical().is_loopback();
    if here || identity.is_authenticated() {
        Proof::Given
    } else {
        Proof::NONE
    }
}
