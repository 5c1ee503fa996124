//! Who may be which device, and the keys that devices get at bootstrap.

use std::borrow::Cow;

use tinsmith_coap::Message;
use tinsmith_store::Op;
use zeroize::Zeroizing;

use super::Identity;
use super::peer::Role;
use super::route::said_name;

/// Who may be which device. It is asked at each Register and Bootstrap-Request, so it answers from
/// memory.
pub trait Access: Send + Sync {
    /// Whether who proved this identity may register under this name.
    fn may_be(&self, identity: &Identity, endpoint: &str) -> bool;

    /// Whether who proved this identity may bootstrap under this name.
    fn may_bootstrap(&self, identity: &Identity, endpoint: &str) -> bool;

    /// The name that who proved this identity has at listeners of a kind, if it can have no other:
    /// such a device need not say it (LwM2M TS 1.1 §6.2.1, §6.1.7.1).
    fn name_of(&self, identity: &Identity, role: Role) -> Option<String>;

    /// A device registers with an identity that it may have: what follows from that, to be stored
    /// together with the registration.
    fn registers(&self, identity: &Identity, endpoint: &str) -> Vec<Op>;

    /// A key with which the device can register from when the record is durable. Others of it stay
    /// until it has done so. `wall` is the time (ms since 1970), `random` is used for nothing else.
    ///
    /// # Errors
    /// Why it gets none.
    fn issue(&self, wall: u64, endpoint: &str, random: [u8; 32]) -> Result<Issued, String>;

    /// The same of an OSCORE context.
    ///
    /// # Errors
    /// Why it gets none.
    fn issue_oscore(
        &self,
        wall: u64,
        endpoint: &str,
        random: [u8; 32],
    ) -> Result<IssuedOscore, String> {
        let _ = (wall, endpoint, random);
        Err("this server has no OSCORE contexts".to_owned())
    }
}

/// An OSCORE context for a device (RFC 8613 §3.2), without ID Context, as the device sees it.
pub struct IssuedOscore {
    /// Master Secret.
    pub secret: Zeroizing<Vec<u8>>,
    /// Master Salt.
    pub salt: Vec<u8>,
    /// The ID that the device's messages carry; no other device has it.
    pub sender: Vec<u8>,
    /// The server's.
    pub recipient: Vec<u8>,
    /// Its record, and what goes with it.
    pub ops: Vec<Op>,
}

/// A pre-shared key for a device.
pub struct Issued {
    /// What the server knows it by.
    pub identity: String,
    /// The key.
    pub key: Zeroizing<Vec<u8>>,
    /// Its record, and what goes with it.
    pub ops: Vec<Op>,
}

/// The name under which the sender of a Register or a Bootstrap-Request comes: the one that it says,
/// else the only one that it can have. None of bytes that are no text.
pub(crate) fn name<'m>(
    access: Option<&dyn Access>,
    identity: &Identity,
    role: Role,
    message: &Message<'m>,
) -> Option<Cow<'m, str>> {
    match said_name(message) {
        Some(said) => std::str::from_utf8(said).ok().map(Cow::Borrowed),
        None => access?.name_of(identity, role).map(Cow::Owned),
    }
}
