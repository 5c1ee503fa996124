//! From a master secret to the keys of both directions (RFC 8613 §3.2).

use core::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tinsmith_dtls::BLOCK;
use zeroize::{Zeroize, Zeroizing};

use crate::bytes::Bytes;

/// Bytes of a nonce, and of the Common IV.
pub(crate) const NONCE: usize = 13;
/// Longest Sender or Recipient ID, in bytes (RFC 8613 §3.3).
pub const MAX_ID: usize = NONCE - 6;
/// Longest ID Context, in bytes: room for what both ends add to it when keys are derived again.
pub const MAX_ID_CONTEXT: usize = 48;
/// Bytes that a server adds to an ID Context when keys are derived again.
pub(crate) const R2: usize = 16;
/// Longest master secret, in bytes.
pub const MAX_SECRET: usize = 64;
/// Longest master salt, in bytes.
pub const MAX_SALT: usize = 32;

/// AES-CCM-16-64-128 as COSE numbers it (RFC 8152 §10.2).
pub const AES_CCM_16_64_128: i64 = 10;
/// HKDF with SHA-256 as COSE numbers it: `direct+HKDF-SHA-256` (RFC 8152 §12.1.2).
pub const HKDF_SHA_256: i64 = -10;

pub(crate) type IdContext = Bytes<MAX_ID_CONTEXT>;

/// What both ends have agreed on beforehand (RFC 8613 §3.2).
#[derive(Clone, PartialEq, Eq)]
pub struct Master {
    secret: Bytes<MAX_SECRET>,
    salt: Bytes<MAX_SALT>,
    sender: Bytes<MAX_ID>,
    recipient: Bytes<MAX_ID>,
    context: Option<IdContext>,
}

/// Why there is no [`Master`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MasterError {
    /// The secret is empty or longer than [`MAX_SECRET`].
    Secret,
    /// The salt is longer than [`MAX_SALT`].
    Salt,
    /// An ID is longer than [`MAX_ID`].
    Id,
    /// Both ends have the same ID.
    SameId,
    /// The ID Context is longer than [`MAX_ID_CONTEXT`] less 16.
    Context,
}

impl fmt::Display for MasterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Secret => "the master secret is empty or too long",
            Self::Salt => "the master salt is too long",
            Self::Id => "a sender or recipient id is too long",
            Self::SameId => "sender and recipient have the same id",
            Self::Context => "the id context is too long",
        })
    }
}

impl core::error::Error for MasterError {}

impl Master {
    /// Without ID Context.
    ///
    /// # Errors
    /// [`MasterError`].
    pub fn new(
        secret: &[u8],
        salt: &[u8],
        sender: &[u8],
        recipient: &[u8],
    ) -> Result<Self, MasterError> {
        if secret.is_empty() {
            return Err(MasterError::Secret);
        }
        if sender == recipient {
            return Err(MasterError::SameId);
        }
        Ok(Self {
            secret: Bytes::new(secret).ok_or(MasterError::Secret)?,
            salt: Bytes::new(salt).ok_or(MasterError::Salt)?,
            sender: Bytes::new(sender).ok_or(MasterError::Id)?,
            recipient: Bytes::new(recipient).ok_or(MasterError::Id)?,
            context: None,
        })
    }

    /// With this ID Context, which requests carry as 'kid context'.
    ///
    /// # Errors
    /// [`MasterError::Context`].
    pub fn with_context(self, context: &[u8]) -> Result<Self, MasterError> {
        let longest = MAX_ID_CONTEXT - R2;
        let context = Some(context).filter(|context| context.len() <= longest);
        let context = context.and_then(Bytes::new).ok_or(MasterError::Context)?;
        let context = Some(context);
        Ok(Self { context, ..self })
    }

    /// The ID that our messages carry as 'kid'.
    #[must_use]
    pub fn sender(&self) -> &[u8] {
        self.sender.as_slice()
    }

    /// The ID that the peer's messages carry as 'kid'.
    #[must_use]
    pub fn recipient(&self) -> &[u8] {
        self.recipient.as_slice()
    }

    pub(crate) const fn context(&self) -> Option<&IdContext> {
        self.context.as_ref()
    }

    /// The keys with another ID Context than its own.
    pub(crate) fn keys(&self, context: Option<&[u8]>) -> Keys {
        let prk = hmac(self.salt.as_slice(), &[self.secret.as_slice()]);
        let derive = |id: &[u8], kind: &[u8], len: usize| {
            let info = info(id, context, kind, len).unwrap_or(Bytes::EMPTY);
            hmac(&*prk, &[info.as_slice(), &[1]])
        };
        let mut keys = Keys {
            sender: [0; BLOCK],
            recipient: [0; BLOCK],
            iv: [0; NONCE],
        };
        fill(&mut keys.sender, &derive(self.sender(), b"Key", BLOCK));
        fill(
            &mut keys.recipient,
            &derive(self.recipient(), b"Key", BLOCK),
        );
        fill(&mut keys.iv, &derive(&[], b"IV", NONCE));
        keys
    }
}

impl fmt::Debug for Master {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Master")
            .field("sender", &self.sender())
            .field("recipient", &self.recipient())
            .finish_non_exhaustive()
    }
}

/// Keys of both directions and the Common IV.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Keys {
    pub(crate) sender: [u8; BLOCK],
    pub(crate) recipient: [u8; BLOCK],
    pub(crate) iv: [u8; NONCE],
}

impl Keys {
    /// The nonce of a Partial IV that the owner of this ID has made (RFC 8613 §5.2).
    pub(crate) fn nonce(&self, id: &[u8], number: u64) -> [u8; NONCE] {
        let mut nonce = self.iv;
        let [_, _, _, number @ ..] = number.to_be_bytes();
        let (front, back) = nonce.split_at_mut(NONCE - number.len());
        let (len, place) = front.split_at_mut(1);
        xor(len, &[id.len() as u8]);
        let pad = place.len().saturating_sub(id.len());
        xor(place.get_mut(pad..).unwrap_or_default(), id);
        xor(back, &number);
        nonce
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.sender.zeroize();
        self.recipient.zeroize();
        self.iv.zeroize();
    }
}

fn xor(place: &mut [u8], bytes: &[u8]) {
    for (place, byte) in place.iter_mut().zip(bytes) {
        *place ^= byte;
    }
}

fn fill(place: &mut [u8], bytes: &[u8; 32]) {
    for (place, byte) in place.iter_mut().zip(bytes) {
        *place = *byte;
    }
}

/// The CBOR array `info` (RFC 8613 §3.2.1).
fn info(
    id: &[u8],
    context: Option<&[u8]>,
    kind: &[u8],
    len: usize,
) -> Option<Bytes<{ MAX_ID + MAX_ID_CONTEXT + 16 }>> {
    let mut info = Bytes::EMPTY;
    info.push_head(4, 5)?;
    info.push_string(id)?;
    match context {
        Some(context) => info.push_string(context)?,
        None => info.push(&[0xf6])?,
    }
    info.push(&[AES_CCM_16_64_128 as u8])?;
    info.push_head(3, kind.len() as u8)?;
    info.push(kind)?;
    info.push_head(0, len as u8)?;
    Some(info)
}

/// HMAC-SHA-256; a key has at most 64 bytes.
pub(crate) fn hmac(key: &[u8], parts: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    let mut block = Zeroizing::new([0; 64]);
    for (place, byte) in block.iter_mut().zip(key) {
        *place = *byte;
    }
    let mut mac = Hmac::<Sha256>::new((&*block).into());
    for part in parts {
        mac.update(part);
    }
    Zeroizing::new(mac.finalize().into_bytes().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::hex;

    /// RFC 8613 §C.1 to §C.3: salt, ids of the client, ID Context; keys of client and server,
    /// Common IV, and the nonces of both for the Partial IV 0.
    #[test]
    fn the_standards_contexts() {
        let secret = hex("0102030405060708090a0b0c0d0e0f10");
        let salt = "9e7ca92223786340";
        let cases = [
            (
                salt,
                ["", "01"],
                None,
                [
                    "f0910ed7295e6ad4b54fc793154302ff",
                    "ffb14e093c94c9cac9471648b4f98710",
                    "4622d4dd6d944168eefb54987c",
                    "4622d4dd6d944168eefb54987c",
                    "4722d4dd6d944169eefb54987c",
                ],
            ),
            (
                "",
                ["00", "01"],
                None,
                [
                    "321b26943253c7ffb6003b0b64d74041",
                    "e57b5635815177cd679ab4bcec9d7dda",
                    "be35ae297d2dace910c52e99f9",
                    "bf35ae297d2dace910c52e99f9",
                    "bf35ae297d2dace810c52e99f9",
                ],
            ),
            (
                salt,
                ["", "01"],
                Some("37cbf3210017a2d3"),
                [
                    "af2a1300a5e95788b356336eeecd2b92",
                    "e39a0c7c77b43f03b4b39ab9a268699f",
                    "2ca58fb85ff1b81c0b7181b85e",
                    "2ca58fb85ff1b81c0b7181b85e",
                    "2da58fb85ff1b81d0b7181b85e",
                ],
            ),
        ];
        for (salt, [sender, recipient], context, expected) in cases {
            let (sender, recipient) = (hex(sender), hex(recipient));
            let context = context.map(hex);
            let [key, other, iv, own, theirs] = expected.map(hex);
            let client = Master::new(&secret, &hex(salt), &sender, &recipient).expect("good");
            let server = Master::new(&secret, &hex(salt), &recipient, &sender).expect("good");
            let keys = client.keys(context.as_deref());
            assert_eq!(keys.sender[..], key[..]);
            assert_eq!(keys.recipient[..], other[..]);
            assert_eq!(keys.iv[..], iv[..]);
            assert_eq!(keys.nonce(&sender, 0)[..], own[..]);
            assert_eq!(keys.nonce(&recipient, 0)[..], theirs[..]);
            let keys = server.keys(context.as_deref());
            assert_eq!(keys.sender[..], other[..]);
            assert_eq!(keys.recipient[..], key[..]);
            assert_eq!(keys.iv[..], iv[..]);
        }
    }

    #[test]
    fn the_standards_info() {
        let made = info(&[1], Some(&hex("37cbf3210017a2d3")), b"Key", 16).expect("room");
        let expected = hex("8541014837cbf3210017a2d30a634b657910");
        assert_eq!(made.as_slice(), expected);
        let made = info(&[], None, b"IV", 13).expect("room");
        assert_eq!(made.as_slice(), hex("8540f60a6249560d"));
    }

    #[test]
    fn what_is_too_long_is_refused() {
        let master = |secret: usize, salt: usize, id: usize| {
            let bytes = [1; 80];
            Master::new(&bytes[..secret], &bytes[..salt], &bytes[..id], &[]).map(|_| ())
        };
        assert_eq!(master(64, 32, 7), Ok(()));
        assert_eq!(master(65, 32, 7), Err(MasterError::Secret));
        assert_eq!(master(0, 32, 7), Err(MasterError::Secret));
        assert_eq!(master(64, 33, 7), Err(MasterError::Salt));
        assert_eq!(master(64, 32, 8), Err(MasterError::Id));
        assert_eq!(master(64, 32, 0), Err(MasterError::SameId));
        let whole = Master::new(&[1], &[], &[1], &[2]).expect("good");
        assert!(whole.clone().with_context(&[0; 32]).is_ok());
        assert_eq!(whole.with_context(&[0; 33]), Err(MasterError::Context));
    }
}
