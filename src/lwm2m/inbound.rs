//! Where a datagram goes, and the answers that need no device.

use tinsmith_coap::{
    Block, Builder, Code, Message, MessageType, OptionNumber, RequestHandle, stateless,
};

use super::device::Handled;
use super::proof::is_too_much;
use super::route::parse_location;
use super::shard::Shard;
use super::shared::{CRITICAL, Source};
use super::types::Now;
use super::uploads::{Sender, Taken};
use super::{Output, Role};

impl Shard {
    pub(super) fn inbound(&mut self, now: Now, from: Source<'_>, bytes: &[u8]) {
        match self.is_protecting() && !from.identity.is_authenticated() {
            true => self.secured(now, from, bytes),
            false => self.plain(now, from, bytes),
        }
    }

    /// A message that is not protected, or not any more.
    pub(super) fn plain(&mut self, now: Now, from: Source<'_>, bytes: &[u8]) {
        let message = match Message::parse(bytes) {
            Ok(message) => message,
            Err(_) => {
                if let Some(reset) = stateless::refusal(bytes) {
                    self.transmit(from, &reset);
                }
                return;
            }
        };
        if self.roles.get(usize::from(from.listener.0)) == Some(&Role::Bootstrap) {
            let mut cx = self.shared.at(now);
            self.bootstrap.inbound(&mut cx, from, message);
        } else if message.code().is_request() {
            self.request(now, from, message);
        } else {
            self.other(now, from, message);
        }
    }

    /// A response, an acknowledgement, a reset or a ping.
    fn other(&mut self, now: Now, from: Source<'_>, message: Message<'_>) {
        let candidates = self.registry.by_peer(from.listener, from.peer);
        let is_response = message.code().is_response();
        let mut chosen: Option<u32> = None;
        if let [only] = candidates {
            chosen = Some(*only);
        } else if is_response {
            let token = message.token();
            chosen = candidates.iter().copied().find(|index| {
                let device = self.registry.get(*index);
                device.is_some_and(|device| device.owns(token))
            });
        }
        if let Some(index) = chosen {
            self.with(now, index, |device, cx| {
                if device.link().identity == *from.identity
                    && matches!(device.handle(cx, message, from.bytes), Handled::Unknown)
                {
                    // An answer of late is a sign of life.
                    device.heard(cx, from.bytes);
                }
            });
            return;
        }
        if !is_response && message.message_type() != MessageType::Confirmable {
            let all = candidates.to_vec();
            for index in all {
                let mut unknown = false;
                self.with(now, index, |device, cx| {
                    let handled = device.handle(cx, message, from.bytes);
                    unknown = matches!(handled, Handled::Unknown);
                });
                if !unknown {
                    return;
                }
            }
            return;
        }
        // A ping, or something that nobody here waits for (RFC 7252 §4.2, §4.3).
        if matches!(
            message.message_type(),
            MessageType::Confirmable | MessageType::NonConfirmable
        ) {
            self.transmit(from, &stateless::reset(&message));
        }
    }

    fn request(&mut self, now: Now, from: Source<'_>, message: Message<'_>) {
        if let Some(number) = message.unrecognised_critical(&CRITICAL) {
            return self.answer(
                from,
                &message,
                Code::BAD_OPTION,
                &format!("option {}", number.0),
            );
        }
        let mut path = message.uri_path();
        match (path.next(), path.next(), path.next()) {
            (Some(b"rd"), None, _) if message.code() == Code::POST => {
                self.register(now, from, message);
            }
            (Some(b"rd"), Some(segment), None) => {
                let found = parse_location(segment).and_then(|(bucket, random)| {
                    let index = self.registry.by_location(random)?;
                    let device = self.registry.get(index)?;
                    let ours = device.entry().bucket == bucket && device.is_registered();
                    ours.then_some(index)
                });
                if let Some(code) = found.and_then(|index| self.refused(index, from.identity)) {
                    return self.answer(from, &message, code, "another identity");
                }
                match (found, message.code()) {
                    (Some(index), Code::POST) => self.update(now, from, index, message),
                    (Some(index), Code::DELETE) => {
                        self.deregister(now, from, index, message);
                    }
                    (Some(_), _) => self.answer(from, &message, Code::METHOD_NOT_ALLOWED, ""),
                    (None, Code::DELETE) if self.gone.contains(from, &message) => {
                        self.answer(from, &message, Code::DELETED, "");
                    }
                    (None, _) => self.answer(from, &message, Code::NOT_FOUND, ""),
                }
            }
            (Some(b"rd"), None, _) => {
                self.answer(from, &message, Code::METHOD_NOT_ALLOWED, "");
            }
            _ => self.answer(from, &message, Code::NOT_FOUND, ""),
        }
    }

    /// Answers without state.
    pub(super) fn answer(
        &mut self,
        from: Source<'_>,
        message: &Message<'_>,
        code: Code,
        text: &str,
    ) {
        self.answer_with(from, message, code, |b| {
            // To an address that may be forged: the code alone says it too.
            if is_too_much(b.len() + 1 + text.len(), from.bytes) {
                return Ok(());
            }
            b.payload(text.as_bytes()).map(|_| ())
        });
    }

    fn answer_with(
        &mut self,
        from: Source<'_>,
        message: &Message<'_>,
        code: Code,
        build: impl FnOnce(&mut Builder<'_>) -> Result<(), tinsmith_coap::BuildError>,
    ) {
        let id = self.shared.random.next_u32() as u16;
        if let Ok(len) = stateless::reply(message, id, code, &mut self.shared.buffer, build) {
            let bytes = self.shared.buffer[..len].to_vec();
            self.transmit_vec(from, bytes);
        }
    }

    fn transmit(&mut self, from: Source<'_>, bytes: &[u8]) {
        self.transmit_vec(from, bytes.to_vec());
    }

    pub(super) fn transmit_vec(&mut self, from: Source<'_>, bytes: Vec<u8>) {
        self.shared.out.push_back(Output::Transmit {
            listener: from.listener,
            peer: from.peer,
            identity: from.identity.clone(),
            bytes,
        });
    }

    /// The whole payload of a request, or `None` if it was answered.
    pub(super) fn payload(
        &mut self,
        now: Now,
        from: Source<'_>,
        known: Option<(u32, RequestHandle)>,
        message: &Message<'_>,
    ) -> Option<(Option<Vec<u8>>, Option<Block>)> {
        let at = tinsmith_coap::Instant::from_millis(now.mono);
        let device = known.and_then(|(index, _)| self.registry.get(index));
        let sender = Sender {
            listener: from.listener,
            peer: from.peer,
            is_proven: device.is_some_and(|device| device.link().proof.is_proven()),
        };
        match self.uploads.take(at, sender, message) {
            Taken::Whole(body, block1) => Some((body, block1)),
            Taken::Answer(code, block1, size1) => {
                let build = |b: &mut Builder<'_>| {
                    block_option(b, block1)?;
                    if let Some(size1) = size1 {
                        b.uint(OptionNumber::SIZE1, size1)?;
                    }
                    Ok(())
                };
                match known {
                    Some((index, handle)) => self.respond(now, index, handle, code, build),
                    None => self.answer_with(from, message, code, build),
                }
                None
            }
        }
    }

    /// Passes a request to a device's CoAP state, at its present route.
    pub(super) fn take_request(
        &mut self,
        now: Now,
        from: Source<'_>,
        index: u32,
        message: Message<'_>,
    ) -> Option<RequestHandle> {
        let device = self.registry.get_mut(index)?;
        self.strangers.touch(&index);
        let mut cx = self.shared.at(now);
        match device.handle(&mut cx, message, from.bytes) {
            Handled::Request(handle) => Some(handle),
            _ => {
                self.settle(now, index);
                None
            }
        }
    }

    pub(super) fn respond(
        &mut self,
        now: Now,
        index: u32,
        handle: RequestHandle,
        code: Code,
        build: impl FnOnce(&mut Builder<'_>) -> Result<(), tinsmith_coap::BuildError>,
    ) {
        self.with(now, index, |device, cx| {
            device.link_mut().respond(cx, handle, code, build);
        });
    }
}

pub(super) fn block_option(
    b: &mut Builder<'_>,
    block1: Option<Block>,
) -> Result<(), tinsmith_coap::BuildError> {
    if let Some(block1) = block1 {
        b.block(OptionNumber::BLOCK1, block1)?;
    }
    Ok(())
}
