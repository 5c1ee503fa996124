//! The COSE object: what is authenticated, and the cipher (RFC 8613 §5).

use ccm::aead::{AeadInOut, Nonce, Tag};
use ccm::consts::{U8, U13};
use tinsmith_dtls::{Aes, BLOCK, Keyed};

use crate::bytes::Bytes;
use crate::derive::{AES_CCM_16_64_128, MAX_ID, NONCE};
use crate::option::number_bytes;

/// Bytes of the tag.
pub(crate) const TAG: usize = 8;

type Ccm<'a> = ccm::Ccm<Keyed<'a>, U8, U13>;

/// The request that a message is, or answers: whose ID and which Partial IV it had. Every response
/// is bound to them.
#[derive(Clone, Copy)]
pub(crate) struct Of<'i> {
    pub(crate) kid: &'i [u8],
    pub(crate) partial_iv: u64,
}

/// Key and nonce of one message.
pub(crate) struct Cipher<'k> {
    pub(crate) key: &'k [u8; BLOCK],
    pub(crate) nonce: [u8; NONCE],
    pub(crate) of: Of<'k>,
}

impl Cipher<'_> {
    /// Encrypts all of `place` but its last [`TAG`] bytes, which become the tag; none if there are
    /// no so many.
    pub(crate) fn seal(&self, aes: &mut dyn Aes, place: &mut [u8]) -> Option<()> {
        let (data, tag) = place.split_at_mut_checked(place.len().checked_sub(TAG)?)?;
        let mode = Ccm::from(Keyed::new(aes, self.key));
        let nonce: &Nonce<Ccm<'_>> = (&self.nonce).into();
        let tag: &mut Tag<Ccm<'_>> = tag.try_into().ok()?;
        let aad = aad(self.of)?;
        *tag = mode
            .encrypt_inout_detached(nonce, aad.as_slice(), data.into())
            .ok()?;
        Some(())
    }

    /// Decrypts in place what [`seal`](Self::seal) made; none if it is not authentic.
    pub(crate) fn open<'p>(&self, aes: &mut dyn Aes, place: &'p mut [u8]) -> Option<&'p mut [u8]> {
        let (data, tag) = place.split_at_mut_checked(place.len().checked_sub(TAG)?)?;
        let mode = Ccm::from(Keyed::new(aes, self.key));
        let nonce: &Nonce<Ccm<'_>> = (&self.nonce).into();
        let tag = (&*tag).try_into().ok()?;
        let aad = aad(self.of)?;
        mode.decrypt_inout_detached(nonce, aad.as_slice(), (&mut *data).into(), tag)
            .ok()?;
        Some(data)
    }
}

/// The `Enc_structure` around the `aad_array` (RFC 8613 §5.4, RFC 8152 §5.3).
fn aad(of: Of<'_>) -> Option<Bytes<{ MAX_ID + 32 }>> {
    let mut array = Bytes::<{ MAX_ID + 16 }>::EMPTY;
    array.push_head(4, 5)?;
    // The version of OSCORE, and the only algorithm.
    array.push(&[1, 0x81, AES_CCM_16_64_128 as u8])?;
    array.push_string(of.kid)?;
    array.push_string(number_bytes(of.partial_iv)?.as_slice())?;
    // There are no options of class I.
    array.push_string(&[])?;
    let mut aad = Bytes::EMPTY;
    aad.push(b"\x83\x68Encrypt0\x40")?;
    aad.push_string(array.as_slice())?;
    Some(aad)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::hex;

    /// RFC 8613 §C.4 and §C.5.
    #[test]
    fn the_standards_aad() {
        for (kid, expected) in [
            ("", "8368456e63727970743040488501810a40411440"),
            ("00", "8368456e63727970743040498501810a4100411440"),
        ] {
            let kid = hex(kid);
            let partial_iv = 0x14;
            let made = aad(Of {
                kid: &kid,
                partial_iv,
            });
            assert_eq!(made.expect("room").as_slice(), hex(expected));
        }
    }
}
