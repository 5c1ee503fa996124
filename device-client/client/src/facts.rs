//! What the client itself needs to know of its capability, read once.

use lwm2m_objects::capability::{self, DIGEST_LEN};
use lwm2m_objects::{Path, Records, Value, ids};
use tinsmith_module::{Host, Module, Refusal};
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
}

/// The kernels in the firmware.
struct Kernels {
    list: [(u16, u16); MAX_KERNELS],
    count: usize,
}

impl Facts {
    /// Nothing known yet.
    pub(crate) const NONE: Self = Self {
        abi: 0,
        arena_total: 0,
        clock: 0,
        digest: [0; DIGEST_LEN],
    };

    pub(crate) fn read(&mut self, records: &dyn Records) -> Result<(), ConfigError> {
        let (mut abi, mut arena) = (None, None);
        let mut clock = None;
        records.visit(&mut |path, value| match *path.ids() {
            [ids::COMPUTE_PLATFORM, 0, 3] => abi = value.as_u64(),
            [ids::COMPUTE_PLATFORM, 0, 5] => arena = value.as_u64(),
            [ids::COMPUTE_UNIT, 0, 4] => clock = value.as_u64(),
            _ => {}
        });
        let small = |n: Option<u64>| n.and_then(|n| u32::try_from(n).ok());
        self.abi = small(abi).ok_or(ConfigError::Capability)?;
        self.arena_total = small(arena).ok_or(ConfigError::Capability)?;
        self.clock = clock.unwrap_or(DEFAULT_CLOCK);
        self.digest = capability::digest(records);
        Kernels::read(records)?;
        Ok(())
    }

    /// Whether a module may run here.
    pub(crate) fn check_host(
        &self,
        module: &Module<'_>,
        config: &Config<'_>,
        arena_bytes: usize,
    ) -> Result<(), Refusal> {
        let kernels = Kernels::read(config.capability);
        let kernels = kernels.as_ref().map_or(&[][..], Kernels::list);
        module.check_host(&Host {
            abi: self.abi as u16,
            kernels,
            instruction_sets: config.instruction_sets,
            arena_bytes: arena_bytes.min(self.arena_total as usize),
            stack_bytes: config.stack_bytes as usize,
        })
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
    pub(crate) fn package_receiver(
        &self,
        config: &Config<'_>,
        slot_bytes: u32,
        sequence_floor: u64,
    ) -> Receiver {
        Receiver {
            module_class: config.module_class,
            firmware_class: None,
            abi: self.abi,
            arena_bytes: self.arena_total,
            slot_bytes,
            sequence_floor,
        }
    }
}

impl Kernels {
    fn read(records: &dyn Records) -> Result<Self, ConfigError> {
        let mut new = Self {
            list: [(0, 0); MAX_KERNELS],
            count: 0,
        };
        let mut result = Ok(());
        records.visit(&mut |path, value| {
            if let [ids::COMPUTE_UNIT, 0, 10] = *path.ids() {
                result = new.take(value);
            }
        });
        result.map(|()| new)
    }

    fn take(&mut self, value: Value<'_>) -> Result<(), ConfigError> {
        let bytes = value.as_bytes().ok_or(ConfigError::Kernels)?;
        let list = capability::kernels(bytes).map_err(|_| ConfigError::Kernels)?;
        self.count = 0;
        for kernel in list {
            let place = self.list.get_mut(self.count);
            *place.ok_or(ConfigError::Kernels)? = kernel;
            self.count += 1;
        }
        Ok(())
    }

    fn list(&self) -> &[(u16, u16)] {
        self.list.get(..self.count).unwrap_or(&[])
    }
}

/// Class identifier of the modules for a device with this capability; firmware is given it.
#[cfg(any(test, feature = "std"))]
pub fn module_class(capability: &dyn Records) -> [u8; 16] {
    tinsmith_package::module_class_id(&capability::digest(capability))
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
