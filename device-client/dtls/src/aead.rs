//! Authenticated encryption with associated data, as the AES-128 suites have it: CCM with tags of 8
//! and 16 bytes (RFC 6655), GCM (RFC 5288).

use ccm::aead::{AeadInOut, Nonce, Tag};
#[cfg(any(feature = "ccm", feature = "gcm"))]
use ccm::consts::U16;
use ccm::consts::{U8, U12};

use crate::aes::{Aes, BLOCK, Keyed};

pub(crate) const NONCE: usize = 12;
/// Longest tag, in bytes.
pub(crate) const MAX_TAG: usize = 16;

/// How records are protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Aead {
    /// AES-128-CCM with a tag of 8 bytes, which every LwM2M device has.
    Ccm8,
    /// AES-128-CCM with a tag of 16 bytes.
    #[cfg(feature = "ccm")]
    Ccm,
    /// AES-128-GCM, its tag has 16 bytes.
    #[cfg(feature = "gcm")]
    Gcm,
}

/// A record is not what its sender made, or not for this key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Inauthentic;

impl Aead {
    /// The protection of a cipher suite by its number, none if it is not known here: those of PSK
    /// (RFC 6655, RFC 5487), of ECDHE with ECDSA (RFC 7251, RFC 5289) and of ECDHE with PSK
    /// (RFC 8442). All use SHA-256 for their keys.
    #[must_use]
    pub fn of_suite(suite: u16) -> Option<Self> {
        match suite {
            0xc0a8 | 0xc0ae | 0xd003 => Some(Self::Ccm8),
            #[cfg(feature = "ccm")]
            0xc0a4 | 0xc0ac | 0xd005 => Some(Self::Ccm),
            #[cfg(feature = "gcm")]
            0x00a8 | 0xc02b | 0xd001 => Some(Self::Gcm),
            _ => None,
        }
    }

    /// The cipher suite of this protection with a pre-shared key: `TLS_PSK_WITH_AES_128_CCM_8`
    /// and its like (RFC 6655 §4, RFC 5487 §2).
    #[must_use]
    pub const fn psk_suite(self) -> u16 {
        match self {
            Self::Ccm8 => 0xc0a8,
            #[cfg(feature = "ccm")]
            Self::Ccm => 0xc0a4,
            #[cfg(feature = "gcm")]
            Self::Gcm => 0x00a8,
        }
    }

    /// The cipher suite of this protection with keys of P-256:
    /// `TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8` and its like (RFC 7251 §2, RFC 5289 §3.2).
    #[must_use]
    pub const fn ecdhe_suite(self) -> u16 {
        match self {
            Self::Ccm8 => 0xc0ae,
            #[cfg(feature = "ccm")]
            Self::Ccm => 0xc0ac,
            #[cfg(feature = "gcm")]
            Self::Gcm => 0xc02b,
        }
    }

    /// Bytes of the tag.
    #[must_use]
    pub const fn tag_len(self) -> usize {
        match self {
            Self::Ccm8 => 8,
            #[cfg(feature = "ccm")]
            Self::Ccm => 16,
            #[cfg(feature = "gcm")]
            Self::Gcm => 16,
        }
    }

    /// Encrypts `data` in place and writes the tag, of [`tag_len`](Self::tag_len) bytes.
    pub(crate) fn seal(
        self,
        aes: &mut dyn Aes,
        key: &[u8; BLOCK],
        nonce: &[u8; NONCE],
        associated: &[u8],
        data: &mut [u8],
        tag: &mut [u8],
    ) -> Result<(), Inauthentic> {
        let keyed = Keyed::new(aes, key);
        match self {
            Self::Ccm8 => seal(&Ccm::<U8>::from(keyed), nonce, associated, data, tag),
            #[cfg(feature = "ccm")]
            Self::Ccm => seal(&Ccm::<U16>::from(keyed), nonce, associated, data, tag),
            #[cfg(feature = "gcm")]
            Self::Gcm => seal(&Gcm::from(keyed), nonce, associated, data, tag),
        }
    }

    /// Decrypts `data` in place if its tag is right.
    pub(crate) fn open(
        self,
        aes: &mut dyn Aes,
        key: &[u8; BLOCK],
        nonce: &[u8; NONCE],
        associated: &[u8],
        data: &mut [u8],
        tag: &[u8],
    ) -> Result<(), Inauthentic> {
        let keyed = Keyed::new(aes, key);
        match self {
            Self::Ccm8 => open(&Ccm::<U8>::from(keyed), nonce, associated, data, tag),
            #[cfg(feature = "ccm")]
            Self::Ccm => open(&Ccm::<U16>::from(keyed), nonce, associated, data, tag),
            #[cfg(feature = "gcm")]
            Self::Gcm => open(&Gcm::from(keyed), nonce, associated, data, tag),
        }
    }
}

type Ccm<'a, Tag> = ccm::Ccm<Keyed<'a>, Tag, U12>;
#[cfg(feature = "gcm")]
type Gcm<'a> = aes_gcm::AesGcm<Keyed<'a>, U12, U16>;

fn seal<A: AeadInOut<NonceSize = U12>>(
    mode: &A,
    nonce: &[u8; NONCE],
    associated: &[u8],
    data: &mut [u8],
    tag: &mut [u8],
) -> Result<(), Inauthentic> {
    let nonce: &Nonce<A> = nonce.into();
    let tag: &mut Tag<A> = tag.try_into().map_err(|_| Inauthentic)?;
    let made = mode.encrypt_inout_detached(nonce, associated, data.into());
    *tag = made.map_err(|_| Inauthentic)?;
    Ok(())
}

fn open<A: AeadInOut<NonceSize = U12>>(
    mode: &A,
    nonce: &[u8; NONCE],
    associated: &[u8],
    data: &mut [u8],
    tag: &[u8],
) -> Result<(), Inauthentic> {
    let nonce: &Nonce<A> = nonce.into();
    let tag = tag.try_into().map_err(|_| Inauthentic)?;
    let opened = mode.decrypt_inout_detached(nonce, associated, data.into(), tag);
    opened.map_err(|_| Inauthentic)
}

#[cfg(all(test, feature = "soft-aes", feature = "gcm"))]
mod tests {
    use super::*;
    use crate::aes::SoftAes;
    use crate::testing::hex;

    fn both_ways(aead: Aead, [key, nonce, associated, plain, sealed]: [&str; 5]) {
        let key = hex(key).try_into().expect("16 bytes");
        let nonce = hex(nonce).try_into().expect("12 bytes");
        let (associated, plain, sealed) = (hex(associated), hex(plain), hex(sealed));
        let (mut data, mut tag) = (plain.clone(), vec![0; aead.tag_len()]);
        let mut aes = SoftAes::new();
        let made = aead.seal(&mut aes, &key, &nonce, &associated, &mut data, &mut tag);
        assert_eq!(made, Ok(()));
        assert_eq!([&data[..], &tag].concat(), sealed);
        let opened = aead.open(&mut aes, &key, &nonce, &associated, &mut data, &tag);
        assert_eq!((opened, data), (Ok(()), plain));
    }

    /// NIST SP 800-38C, example 3: nonce and tag are as long as those of TLS.
    #[test]
    fn ccm_of_nist() {
        both_ways(
            Aead::Ccm8,
            [
                "404142434445464748494a4b4c4d4e4f",
                "101112131415161718191a1b",
                "000102030405060708090a0b0c0d0e0f10111213",
                "202122232425262728292a2b2c2d2e2f3031323334353637",
                "e3b201a9f5b71a7a9b1ceaeccd97e70b6176aad9a4428aa5 484392fbc1b09951",
            ],
        );
    }

    /// Test case 4 of the GCM specification (McGrew, Viega).
    #[test]
    fn gcm_of_its_specification() {
        both_ways(
            Aead::Gcm,
            [
                "feffe9928665731c6d6a8f9467308308",
                "cafebabefacedbaddecaf888",
                "feedfacedeadbeeffeedfacedeadbeefabaddad2",
                "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72
                 1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
                "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e
                 21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091
                 5bc94fbc3221a5db94fae95ae7121a47",
            ],
        );
    }
}
