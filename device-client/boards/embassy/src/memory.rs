//! Memory of the client, of sizes that the board chooses.

use tinsmith_client::{Buffers, Memory, Observation, Session};

#[repr(C, align(32))]
struct Arena<const BYTES: usize>([u8; BYTES]);

/// All zeros, so that in a `static` none of it lies in flash.
pub struct ClientMemory<const ARENA: usize, const SESSIONS: usize, const OBSERVATIONS: usize> {
    sessions: [Session<'static>; SESSIONS],
    observations: [Observation; OBSERVATIONS],
    arena: Arena<ARENA>,
    buffers: Buffers,
}

impl<const ARENA: usize, const SESSIONS: usize, const OBSERVATIONS: usize>
    ClientMemory<ARENA, SESSIONS, OBSERVATIONS>
{
    /// Unused.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            sessions: [const { Session::new() }; SESSIONS],
            observations: [Observation::EMPTY; OBSERVATIONS],
            arena: Arena([0; ARENA]),
            buffers: Buffers::new(),
        }
    }

    /// As the client takes it.
    pub fn memory(&'static mut self) -> Memory<'static> {
        Memory {
            sessions: &mut self.sessions,
            observations: &mut self.observations,
            arena: &mut self.arena.0,
            buffers: &mut self.buffers,
        }
    }
}

impl<const ARENA: usize, const SESSIONS: usize, const OBSERVATIONS: usize> Default
    for ClientMemory<ARENA, SESSIONS, OBSERVATIONS>
{
    fn default() -> Self {
        Self::new()
    }
}
