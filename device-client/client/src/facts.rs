//! What the client itself needs to know of its capability, read once.

use lwm2m_objects::capability::{self, DIGEST_LEN};
use lwm2m_objects::{Path, Records, Value, ids};
use tinsmith_module::Host;
use tinsmith_package::Receiver;

use crate::platform::{Config, ConfigError};

const MAX_KERNELS: usize = 64;

/// Hz, for a board that does not say.
const DEFAULT_CLOCK: u64 = 64_000_000;
/// Seconds that a self test may take at one step of its inner loops per clock cycle.
const SELF_TEST_S: u64 = 60;
/// Steps in a second of what runs in the arena, at one step of its inner loops per clock cycle.
const STEP_HZ: u64 = 100;

pub(crate) struct Facts {
    pub(crate) abi: u32,
    pub(crate) arena_total: u32,
    /// Core clock, Hz.
    clock: u64,
    pub(crate) digest: [u8; DIGEST_LEN],
    module_class: [u8; 16],
    kernels: [(u16, u16); MAX_KERNELS],
    kernel_count: usize,
}

impl Facts {
    pub(crate) fn read(records: &dyn Records) -> Result<Self, ConfigError> {
        let (mut abi, mut arena) = (None, None);
        let mut clock = None;
        let mut kernels = [(0, 0); MAX_KERNELS];
        let mut kernel_count = Ok(0);
        records.visit(&mut |path, value| match *path.ids() {
            [ids::COMPUTE_PLATFORM, 0, 3] => abi = value.as_u64(),
            [ids::COMPUTE_PLATFORM, 0, 5] => arena = value.as_u64(),
            [ids::COMPUTE_UNIT, 0, 4] => clock = value.as_u64(),
            [ids::COMPUTE_UNIT, 0, 10] => kernel_count = read_kernels(value, &mut kernels),
            _ => {}
        });
        let small = |n: Option<u64>| n.and_then(|n| u32::try_from(n).ok());
        let digest = capability::digest(records);
        Ok(Self {
            abi: small(abi).ok_or(ConfigError::Capability)?,
            arena_total: small(arena).ok_or(ConfigError::Capability)?,
            clock: clock.unwrap_or(DEFAULT_CLOCK),
            digest,
            module_class: tinsmith_package::module_class_id(&digest),
            kernels,
            kernel_count: kernel_count?,
        })
    }

    /// What a module may ask for.
    pub(crate) fn host(&self, config: &Config<'_>, arena_bytes: usize) -> Host<'_> {
        Host {
            abi: self.abi as u16,
            kernels: &self.kernels[..self.kernel_count],
            instruction_sets: config.instruction_sets,
            arena_bytes: arena_bytes.min(self.arena_total as usize),
            stack_bytes: config.stack_bytes as usize,
        }
    }

    /// Steps of inner loops that a self test may take: a plan that is well-formed may still be one
    /// that runs for years.
    pub(crate) fn work(&self) -> u64 {
        self.clock.saturating_mul(SELF_TEST_S)
    }

    /// Steps of inner loops between two looks at the network. A record is never divided.
    pub(crate) fn step(&self) -> u64 {
        self.clock / STEP_HZ
    }

    /// What a package may ask for.
    pub(crate) fn package_receiver(&self, slot_bytes: u32, sequence_floor: u64) -> Receiver {
        Receiver {
            module_class: self.module_class,
            firmware_class: None,
            abi: self.abi,
            arena_bytes: self.arena_total,
            slot_bytes,
            sequence_floor,
        }
    }
}

fn read_kernels(
    value: Value<'_>,
    into: &mut [(u16, u16); MAX_KERNELS],
) -> Result<usize, ConfigError> {
    let bytes = value.as_bytes().ok_or(ConfigError::Kernels)?;
    let list = capability::kernels(bytes).map_err(|_| ConfigError::Kernels)?;
    let mut count = 0;
    for kernel in list {
        *into.get_mut(count).ok_or(ConfigError::Kernels)? = kernel;
        count += 1;
    }
    Ok(count)
}

/// Calls `f` with each instance of `object` among the records.
pub(crate) fn instances(records: &dyn Records, object: u16, f: &mut dyn FnMut(u16)) {
    let mut last = None;
    records.visit(&mut |path: &Path, _| {
        if path.object_id() == Some(object) && path.instance_id() != last {
            last = path.instance_id();
            if let Some(id) = last {
                f(id);
            }
        }
    });
}
