//! The client: inputs to parts, parts to outputs.

use crate::platform::{Config, ConfigError, Input, Memory, Now, Output, Platform};

/// State of one server: its CoAP conversation, its registration.
pub struct Peer {
    _private: (),
}

impl Peer {
    /// A peer that nobody uses.
    pub const fn new() -> Self {
        Self { _private: () }
    }
}

impl Default for Peer {
    fn default() -> Self {
        Self::new()
    }
}

/// One observation of a server.
#[derive(Clone, Copy, Debug)]
pub struct Observation {
    _private: (),
}

impl Observation {
    /// None.
    pub const EMPTY: Self = Self { _private: () };
}

/// An LwM2M client.
pub struct Client<'a> {
    config: Config<'a>,
    memory: Memory<'a>,
}

impl<'a> Client<'a> {
    /// Reads the flash and starts: with a Register if there are accounts, else with a bootstrap.
    ///
    /// # Errors
    /// The board gave something that can't work.
    pub fn new(
        config: Config<'a>,
        memory: Memory<'a>,
        now: Now,
        platform: &mut dyn Platform,
    ) -> Result<Self, ConfigError> {
        let _ = (now, platform);
        config.layout.check()?;
        Ok(Self { config, memory })
    }

    /// Something happened. Call [`poll`](Self::poll) afterwards until it gives nothing.
    pub fn handle(&mut self, now: Now, input: Input<'_>, platform: &mut dyn Platform) {
        let _ = (now, input, platform, &self.config, &self.memory);
    }

    /// The next thing to do, none if the client waits. `buf` holds a datagram: 1,152 bytes.
    pub fn poll<'b>(
        &'b mut self,
        now: Now,
        buf: &mut [u8],
        platform: &mut dyn Platform,
    ) -> Option<Output<'b>> {
        let _ = (now, buf, platform);
        None
    }

    /// When to call with [`Input::Timer`], on the monotonic clock in milliseconds.
    pub fn next_deadline(&self) -> Option<u64> {
        None
    }
}
