//! Connection IDs.

use core::fmt;

/// Longest Connection ID that an association holds, in bytes. RFC 9146 has 255; no peer known uses
/// more than Mbed TLS, whose limit this is.
pub const MAX_CID: usize = 32;

/// A Connection ID; an empty one means records in the form without.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cid {
    len: u8,
    bytes: [u8; MAX_CID],
}

/// A Connection ID of more than [`MAX_CID`] bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CidTooLong;

impl fmt::Display for CidTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a Connection ID has more than {MAX_CID} bytes")
    }
}

impl core::error::Error for CidTooLong {}

impl Cid {
    /// None.
    pub const EMPTY: Self = Self {
        len: 0,
        bytes: [0; MAX_CID],
    };

    /// # Errors
    /// It has more than [`MAX_CID`] bytes.
    pub fn new(bytes: &[u8]) -> Result<Self, CidTooLong> {
        let mut cid = Self::EMPTY;
        cid.bytes
            .get_mut(..bytes.len())
            .ok_or(CidTooLong)?
            .copy_from_slice(bytes);
        cid.len = bytes.len() as u8;
        Ok(cid)
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// How many.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl fmt::Debug for Cid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cid(")?;
        for byte in self.as_bytes() {
            write!(f, "{byte:02x}")?;
        }
        f.write_str(")")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths() {
        let bytes: [u8; 40] = core::array::from_fn(|i| i as u8);
        for len in 0..=MAX_CID {
            let cid = Cid::new(&bytes[..len]).unwrap();
            assert_eq!(cid.as_bytes(), &bytes[..len]);
            assert_eq!((cid.len(), cid.is_empty()), (len, len == 0));
        }
        assert_eq!(Cid::new(&bytes[..=MAX_CID]), Err(CidTooLong));
        assert_eq!(format!("{:?}", Cid::new(&[1, 0xab]).unwrap()), "Cid(01ab)");
    }
}
