//! Without DTLS every datagram is a message.

/// Nothing.
pub(crate) struct Secure;

impl Secure {
    pub(crate) const REST: Self = Self;

    pub(crate) const fn restart(&mut self, _: Option<u16>, _: bool) {}

    pub(crate) const fn is_on(&self) -> bool {
        false
    }

    pub(crate) const fn is_connecting(&self) -> bool {
        false
    }

    /// Whether messages can be sent.
    pub(crate) fn reach(&mut self, _: u64, _: &mut dyn crate::Platform) -> bool {
        true
    }

    pub(crate) const fn forget(&mut self) {}

    pub(crate) const fn answered(&mut self) {}

    pub(crate) const fn seal(&mut self, _: u64, _: &mut [u8], len: usize) -> Option<usize> {
        Some(len)
    }

    pub(crate) const fn next_deadline(&self) -> Option<u64> {
        None
    }
}
