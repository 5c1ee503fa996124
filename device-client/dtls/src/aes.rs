//! The block cipher, and how the modes of RustCrypto get at it.

use cipher::array::Array;
use cipher::consts::{U1, U16};
use cipher::inout::InOut;
use cipher::{
    Block, BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser,
    ParBlocksSizeUser,
};

/// Bytes of a block, and of a key.
pub const BLOCK: usize = 16;

/// AES-128, of which all modes here need encryption only.
///
/// A board with an AES peripheral implements this for its driver; it needs to know one key at a
/// time.
pub trait Aes {
    /// The key of everything that follows.
    fn set_key(&mut self, key: &[u8; BLOCK]);

    /// Encrypts one block, in place.
    fn encrypt(&self, block: &mut [u8; BLOCK]);

    /// Forgets the key.
    fn clear_key(&mut self) {
        self.set_key(&[0; BLOCK]);
    }
}

impl<A: Aes + ?Sized> Aes for &mut A {
    fn set_key(&mut self, key: &[u8; BLOCK]) {
        (**self).set_key(key);
    }

    fn encrypt(&self, block: &mut [u8; BLOCK]) {
        (**self).encrypt(block);
    }

    fn clear_key(&mut self) {
        (**self).clear_key();
    }
}

/// AES in software, or with the instructions that the processor has for it.
#[cfg(feature = "soft-aes")]
#[derive(Default)]
pub struct SoftAes(Option<aes::Aes128>);

#[cfg(feature = "soft-aes")]
impl SoftAes {
    /// Without a key.
    #[must_use]
    pub const fn new() -> Self {
        Self(None)
    }
}

#[cfg(feature = "soft-aes")]
impl Aes for SoftAes {
    fn set_key(&mut self, key: &[u8; BLOCK]) {
        self.0 = Some(<aes::Aes128 as cipher::KeyInit>::new(key.into()));
    }

    fn encrypt(&self, block: &mut [u8; BLOCK]) {
        if let Some(aes) = &self.0 {
            aes.encrypt_block(block.into());
        }
    }

    fn clear_key(&mut self) {
        self.0 = None;
    }
}

/// A cipher with its key, as the modes of RustCrypto want it. The key is forgotten at the end.
pub struct Keyed<'a>(&'a mut dyn Aes);

impl<'a> Keyed<'a> {
    /// Gives the key to the cipher.
    pub fn new(aes: &'a mut dyn Aes, key: &[u8; BLOCK]) -> Self {
        aes.set_key(key);
        Self(aes)
    }
}

impl Drop for Keyed<'_> {
    fn drop(&mut self) {
        self.0.clear_key();
    }
}

impl BlockSizeUser for Keyed<'_> {
    type BlockSize = U16;
}

impl ParBlocksSizeUser for Keyed<'_> {
    type ParBlocksSize = U1;
}

impl BlockCipherEncrypt for Keyed<'_> {
    fn encrypt_with_backend(&self, f: impl BlockCipherEncClosure<BlockSize = U16>) {
        f.call(self);
    }
}

impl BlockCipherEncBackend for Keyed<'_> {
    fn encrypt_block(&self, mut block: InOut<'_, '_, Block<Self>>) {
        let mut one = block.clone_in().0;
        self.0.encrypt(&mut one);
        *block.get_out() = Array(one);
    }
}

#[cfg(all(test, feature = "soft-aes"))]
mod tests {
    use super::*;

    /// FIPS 197, appendix C.1.
    #[test]
    fn the_standards_example() {
        let key = core::array::from_fn(|i| i as u8);
        let plain: [u8; BLOCK] = core::array::from_fn(|i| (i * 0x11) as u8);
        let mut aes = SoftAes::new();
        aes.set_key(&key);
        let mut block = plain;
        aes.encrypt(&mut block);
        let expected = 0x69c4_e0d8_6a7b_0430_d8cd_b780_70b4_c55a_u128.to_be_bytes();
        assert_eq!(block, expected);
    }
}
