//! Whether a good module can run on a machine.

use core::fmt;

use super::Module;
use crate::kernels;

/// What the machine that a module is to run on offers.
#[derive(Debug, Clone, Copy)]
pub struct Host<'a> {
    /// ABI version of the client, 27300/x/3.
    pub abi: u16,
    /// Resident kernels as (id, version), 27301/x/10; see [`kernels::runs`].
    pub kernels: &'a [(u16, u16)],
    /// Instruction sets for native code, bits of [`crate::format::isa`].
    pub instruction_sets: u32,
    /// Bytes of the arena.
    pub arena_bytes: usize,
    /// Bytes of stack that a run may use.
    pub stack_bytes: usize,
}

impl Module<'_> {
    /// Whether this host can run the module; the first reason why not, ABI first.
    pub fn check_host(&self, host: &Host<'_>) -> Result<(), Refusal> {
        if self.header.abi != host.abi {
            return Err(Refusal::Abi {
                module: self.header.abi,
                host: host.abi,
            });
        }
        for (id, version) in self.kernels() {
            if !kernels::runs(host.kernels, (id, version)) {
                return Err(Refusal::Kernel { id, version });
            }
        }
        let missing = self.header.instruction_sets & !host.instruction_sets;
        if missing != 0 {
            return Err(Refusal::InstructionSets { missing });
        }
        let needed = self.arena_bytes();
        if needed > host.arena_bytes {
            return Err(Refusal::Arena {
                needed,
                missing: needed - host.arena_bytes,
            });
        }
        let needed = self.stack_bytes() as usize;
        if needed > host.stack_bytes {
            return Err(Refusal::Stack {
                needed,
                missing: needed - host.stack_bytes,
            });
        }
        Ok(())
    }
}

/// Why a good module cannot run on a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// Built for another ABI.
    Abi {
        /// ABI version of the module.
        module: u16,
        /// ABI version of the host.
        host: u16,
    },
    /// A kernel is not resident.
    Kernel {
        /// Kernel id.
        id: u16,
        /// Version the module needs.
        version: u16,
    },
    /// Instruction sets that the host lacks.
    InstructionSets {
        /// Bits of [`crate::format::isa`].
        missing: u32,
    },
    /// The arena is too small.
    Arena {
        /// Bytes needed.
        needed: usize,
        /// Bytes that are missing.
        missing: usize,
    },
    /// The stack is too small.
    Stack {
        /// Bytes needed.
        needed: usize,
        /// Bytes that are missing.
        missing: usize,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Refusal::Abi { module, host } => {
                write!(
                    f,
                    "the module is built for ABI {module}, the device has ABI {host}"
                )
            }
            Refusal::Kernel { id, version } => {
                write!(f, "the device has no kernel {id} version {version}")
            }
            Refusal::InstructionSets { missing } => {
                write!(f, "the device lacks instruction sets {missing:#x}")
            }
            Refusal::Arena { needed, missing } => {
                write!(
                    f,
                    "the module needs {needed} B of arena, {missing} B too many"
                )
            }
            Refusal::Stack { needed, missing } => {
                write!(
                    f,
                    "the module needs {needed} B of stack, {missing} B too many"
                )
            }
        }
    }
}

impl core::error::Error for Refusal {}
