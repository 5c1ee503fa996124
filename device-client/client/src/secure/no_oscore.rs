//! Without OSCORE every message is sent as it is.

use tinsmith_coap::Token;

/// Nothing.
pub(crate) struct Oscore;

impl Oscore {
    pub(crate) const REST: Self = Self;

    pub(crate) const fn restart(&mut self, _: Option<u16>) {}

    pub(crate) const fn is_on(&self) -> bool {
        false
    }

    pub(crate) const fn is_waiting(&self) -> bool {
        false
    }

    pub(crate) const fn seal(&mut self, _: &mut [u8], len: usize, _: &mut [u8]) -> Option<usize> {
        Some(len)
    }

    pub(crate) const fn forget(&mut self, _: Token) {}

    pub(crate) const fn max_observed(&self) -> usize {
        usize::MAX
    }
}
