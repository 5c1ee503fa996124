//! Protection of messages above the transport.

use super::Identity;
use tinsmith_store::Op;

/// What a datagram was.
#[derive(Debug, PartialEq, Eq)]
pub enum Secured {
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
    /// To be ignored.
    Dropped,
}

/// Protection of messages above the transport, as a shard uses it.
pub trait MessageSecurity: Send {
    /// Looks at a datagram that has no identity. `asked` is who it may answer, if it is a response;
    /// `random` fills a place with bytes that nobody can guess.
    fn open(
        &mut self,
        random: &mut dyn FnMut(&mut [u8]),
        asked: Option<&Identity>,
        datagram: &[u8],
    ) -> Secured;

    /// What is sent of a message to this identity; `None` if it can't be sent now, as if it were
    /// lost.
    fn seal(&mut self, identity: &Identity, datagram: &[u8]) -> Option<Vec<u8>>;

    /// Who alone may be this endpoint; `None` if messages to and from it are not protected.
    fn identity_of(&self, endpoint: &str) -> Option<&Identity>;

    /// What has to be stored; the identity is told to [`stored`](Self::stored) then.
    fn to_store(&mut self) -> Option<(Identity, Op)>;

    /// It is durable, or could not be stored.
    fn stored(&mut self, identity: &Identity, durable: bool);
}
