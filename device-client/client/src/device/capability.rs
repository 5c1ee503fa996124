//! What the device is made of, and what the client itself needs to know of it, read once.

use lwm2m_objects::capability::{self, DIGEST_LEN};
use lwm2m_objects::ids::{self, compute_platform, compute_unit};
use lwm2m_objects::{Path, Records, SliceSink, Value};
use tinsmith_module::{Host, Kernel, Module, Refusal};
use tinsmith_package::{Receiver, Scheme};

use crate::config::{Config, ConfigError};

/// Kernels of a product; each is at most seven bytes of 27301/0/10.
const MAX_KERNELS: usize = 32;

/// Hz, for a board that does not say.
const DEFAULT_CLOCK: u32 = 64_000_000;
/// Seconds that a self test may take at one step of its inner loops per clock cycle.
const SELF_TEST_S: u64 = 60;
/// Steps in a second of what runs in the arena, at one step of its inner loops per clock cycle.
const STEP_HZ: u32 = 100;

/// 27300, 27301 and 27302: what the board says, as 27300/0/12 the signature algorithms and as
/// 27301/0/10 the kernels that the client has.
#[derive(Clone, Copy)]
pub(crate) struct Capability<'a> {
    board: &'a dyn Records,
    kernels: &'static [&'static Kernel],
    signatures: &'static [Scheme],
}

impl<'a> Capability<'a> {
    pub(crate) const fn of(config: &Config<'a>) -> Self {
        Self {
            board: config.capability,
            kernels: config.kernels,
            signatures: config.signatures,
        }
    }

    /// Calls `f` with each instance of `object`.
    pub(crate) fn instances(&self, object: u16, f: &mut dyn FnMut(u16)) {
        let mut last = None;
        self.visit(&mut |path, _| {
            if path.object_id() == Some(object) && path.instance_id() != last {
                last = path.instance_id();
                if let Some(id) = last {
                    f(id);
                }
            }
        });
    }
}

impl Records for Capability<'_> {
    fn visit(&self, f: &mut dyn FnMut(&Path, Value<'_>)) {
        let algorithms = compute_platform::SIGNATURE_ALGORITHMS;
        let algorithms = Path::resource(ids::COMPUTE_PLATFORM, 0, algorithms);
        let place = Path::resource(ids::COMPUTE_UNIT, 0, compute_unit::OPERATORS);
        let mut buffer = [0; 3 + 7 * MAX_KERNELS];
        let mut list = SliceSink::new(&mut buffer);
        capability::encode_kernels(Kernels::of(self.kernels).list(), &mut list);
        let list = Value::Opaque(list.finish().unwrap_or_default());
        let mut told = 0;
        // What the client knows comes where its path has its place.
        let mut up_to = |path: &Path, f: &mut dyn FnMut(&Path, Value<'_>)| {
            if told == 0 && *path >= algorithms {
                told = 1;
                for (i, scheme) in (0..).zip(self.signatures) {
                    let number = scheme.algorithm().number();
                    if let Some(path) = algorithms.child(i) {
                        f(&path, Value::Integer(number));
                    }
                }
            }
            if told == 1 && *path >= place {
                told = 2;
                f(&place, list);
            }
        };
        self.board.visit(&mut |path, value| {
            up_to(path, f);
            if *path != place && !path.starts_with(&algorithms) {
                f(path, value);
            }
        });
        up_to(&Path::resource(u16::MAX, 0, 0), f);
    }
}

/// The kernels of the client as (id, version), in ascending order.
struct Kernels {
    list: [(u16, u16); MAX_KERNELS],
    count: usize,
}

impl Kernels {
    fn of(kernels: &[&Kernel]) -> Self {
        let mut new = Self {
            list: [(0, 0); MAX_KERNELS],
            count: 0,
        };
        let mut last = None;
        for place in &mut new.list {
            let all = kernels.iter().map(|k| (k.id(), k.version()));
            let Some(next) = all.filter(|k| last.is_none_or(|last| *k > last)).min() else {
                break;
            };
            *place = next;
            last = Some(next);
            new.count += 1;
        }
        new
    }

    fn list(&self) -> &[(u16, u16)] {
        self.list.get(..self.count).unwrap_or_default()
    }
}

/// What the client needs to know of the capability.
pub(crate) struct Facts {
    abi: u32,
    pub(crate) arena_total: u32,
    /// Core clock, Hz.
    clock: u32,
    pub(crate) digest: [u8; DIGEST_LEN],
}

impl Facts {
    /// Nothing known yet.
    pub(crate) const NONE: Self = Self {
        abi: 0,
        arena_total: 0,
        clock: 0,
        digest: [0; DIGEST_LEN],
    };

    pub(crate) fn read(&mut self, config: &Config<'_>) -> Result<(), ConfigError> {
        if config.kernels.len() > MAX_KERNELS {
            return Err(ConfigError::Kernels);
        }
        let (mut abi, mut arena) = (None, None);
        let mut clock = None;
        let records = Capability::of(config);
        records.visit(&mut |path, value| match *path.ids() {
            [
                ids::COMPUTE_PLATFORM,
                0,
                compute_platform::RUNTIME_ABI_VERSION,
            ] => {
                abi = value.as_u64();
            }
            [ids::COMPUTE_PLATFORM, 0, compute_platform::ARENA_TOTAL] => arena = value.as_u64(),
            [ids::COMPUTE_UNIT, 0, compute_unit::CLOCK_MAX] => clock = value.as_u64(),
            _ => {}
        });
        let small = |n: Option<u64>| n.and_then(|n| u32::try_from(n).ok());
        self.abi = small(abi).ok_or(ConfigError::Capability)?;
        self.arena_total = small(arena).ok_or(ConfigError::Capability)?;
        self.clock = clock.map_or(DEFAULT_CLOCK, |hz| u32::try_from(hz).unwrap_or(u32::MAX));
        self.digest = capability::digest(&records);
        Ok(())
    }

    /// Whether a module may run here.
    pub(crate) fn check_host(
        &self,
        module: &Module<'_>,
        config: &Config<'_>,
        arena_bytes: usize,
    ) -> Result<(), Refusal> {
        module.check_host(&Host {
            abi: self.abi as u16,
            kernels: Kernels::of(config.kernels).list(),
            instruction_sets: config.instruction_sets,
            arena_bytes: arena_bytes.min(self.arena_total as usize),
            stack_bytes: config.stack_bytes as usize,
        })
    }

    /// Steps of inner loops that a self test may take: a plan that is well-formed may still be one
    /// that runs for years.
    pub(crate) fn work(&self) -> u64 {
        u64::from(self.clock) * SELF_TEST_S
    }

    /// Steps of inner loops between two looks at the network. A row of a result is never divided.
    pub(crate) fn step(&self) -> u64 {
        u64::from(self.clock / STEP_HZ)
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

/// Class identifier of the modules for a device with this capability, these kernels and signature
/// algorithms; firmware is given it.
#[cfg(any(test, feature = "std"))]
pub fn module_class(
    board: &dyn Records,
    kernels: &'static [&'static Kernel],
    signatures: &'static [Scheme],
) -> [u8; 16] {
    let capability = Capability {
        board,
        kernels,
        signatures,
    };
    tinsmith_package::module_class_id(&capability::digest(&capability))
}
