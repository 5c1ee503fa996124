//! Protection of messages above the transport.

use super::types::Endpoint;
use super::{Identity, Op};
use tinsmith_coap::Token;

/// What a datagram was.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Secured {
    /// It is not protected.
    Plain,
    /// It was, by this identity.
    Message {
        /// Whose.
        identity: Identity,
        /// The plain message.
        bytes: Vec<u8>,
        /// It was there before: the answer to it may be repeated, nothing else be done.
        repeated: bool,
        /// It is a response that says no more than that the request is to be sent once more.
        again: bool,
    },
    /// To be answered with this, as it is.
    Answer(Vec<u8>),
    /// It is of this identity, and can be opened when what is being stored of it is durable.
    Later(Identity),
    /// To be ignored.
    Dropped,
}

/// What is sent of a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sealed {
    /// This.
    Bytes(Vec<u8>),
    /// It can be sealed when what is being stored is durable.
    Later,
    /// Nothing, as if it were lost.
    Lost,
}

/// Something to be stored for an identity; the number names it among others.
pub(super) struct ToStore {
    pub(super) identity: Identity,
    pub(super) number: u64,
    pub(super) op: Op,
}

/// Protection of messages above the transport, as a shard uses it.
pub(super) trait MessageSecurity: Send {
    /// Looks at a datagram that has no identity. `asked` is who it may answer, if it is a response;
    /// `random` fills a place with bytes that nobody can guess.
    fn open(
        &mut self,
        random: &mut dyn FnMut(&mut [u8]),
        asked: Option<&Identity>,
        datagram: &[u8],
    ) -> Secured;

    /// Protects a message to this identity.
    fn seal(&mut self, identity: &Identity, datagram: &[u8]) -> Sealed;

    /// Who was asked with this token, if that was not long ago.
    fn asked(&self, token: Token) -> Option<Identity>;

    /// The device of an identity, now.
    fn endpoint_of(&self, identity: &Identity) -> Option<Endpoint>;

    /// Something that has to be stored; [`stored`](Self::stored) is told then.
    fn to_store(&mut self) -> Option<ToStore>;

    /// It is durable, or could not be stored.
    fn stored(&mut self, identity: &Identity, number: u64, durable: bool);

    /// An identity is not good any more.
    fn forget(&mut self, identity: &Identity);
}
