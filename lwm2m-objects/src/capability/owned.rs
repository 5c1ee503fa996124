//! The capability in a form to keep, to compare and to write into target files.

use std::fmt;
use std::string::String;
use std::vec::Vec;

use serde::{Deserialize, Serialize};

use super::{DIGEST_LEN, KernelsError};
use crate::{Path, model::RangeError};

/// Objects 27300, 27301 and 27302 of one device, or of a kind of device as a target file says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Capability {
    /// Compute Platform.
    pub platform: Platform,
    /// Compute Unit, by ascending instance; instance 0 is the core that runs the client.
    pub units: Vec<Unit>,
    /// Memory Region, by ascending instance.
    pub regions: Vec<Region>,
}

/// Compute Platform (27300).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Platform {
    /// Board or product name.
    pub platform_name: String,
    /// Part number as in the vendor's device pack.
    pub soc_part: String,
    /// LLVM target triple of the application.
    pub compile_target: String,
    /// Version of the interface between client and module.
    pub runtime_abi_version: u64,
    /// 0 firmware image, 1 native module, 2 plan and weights, 3 `TFLite`, 4 ONNX.
    pub module_formats: Vec<i64>,
    /// Bytes of RAM for activations.
    pub arena_total: u64,
    /// Bytes of it that are free now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arena_free: Option<u64>,
    /// Bytes of storage for modules.
    pub model_storage_total: u64,
    /// Bytes of it that are free now.
    pub model_storage_free: u64,
    /// Modules that can be held at the same time.
    pub model_slots: u64,
    /// Bytes of the largest module.
    pub max_module_size: u64,
    /// 0 none, 1 signature, 2 and rollback protection, 3 and debug port locked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_protection: Option<i64>,
    /// COSE algorithm ids that are accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signature_algorithms: Vec<i64>,
}

/// Compute Unit (27301).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unit {
    /// Object instance id.
    pub instance: u16,
    /// e.g. `cortex-m4`.
    pub name: String,
    /// 0 CPU, 1 DSP, 2 NPU, 3 GPU, 4 FPGA, 5 other.
    pub unit_type: i64,
    /// e.g. `armv7e-m`.
    pub architecture: String,
    /// Tokens such as `dsp`, `fpv4-sp-d16`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extensions: Vec<String>,
    /// Hz.
    pub clock_max: u64,
    /// Hz.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_current: Option<u64>,
    /// Native arithmetic: 0 int8, 1 int16, 2 int32, 3 f16, 4 f32, 5 f64, 6 int4, 7 binary.
    pub data_types: Vec<i64>,
    /// int8 multiply-accumulates per second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured_mac_rate: Option<u64>,
    /// Bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instruction_cache: Option<u64>,
    /// Bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_cache: Option<u64>,
    /// Resident kernels `(id, version)` in ascending order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operators: Option<Vec<(u16, u16)>>,
    /// e.g. `cmsis-nn 7.0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel_library: Option<String>,
    /// Percent of the last minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<i64>,
    /// Joule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub energy_per_mac: Option<f64>,
}

/// Memory Region (27302).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Region {
    /// Object instance id.
    pub instance: u16,
    /// e.g. `FLASH`.
    pub name: String,
    /// 0 flash, 1 SRAM, 2 TCM, 3 external flash (mapped), 4 external RAM, 5 external flash (not
    /// mapped), 6 EEPROM or FRAM.
    pub kind: i64,
    /// Address as the core sees it; offset for kind 5.
    pub start: u64,
    /// Bytes.
    pub size: u64,
    /// Bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free: Option<u64>,
    /// Bytes of the largest erase unit; none for RAM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub erase_unit: Option<u64>,
    /// Bytes of the smallest programmable unit; none for RAM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write_unit: Option<u64>,
    /// Bit 0 read, 1 write, 2 execute, 3 DMA, 4 visible to accelerators, 5 retained in sleep.
    pub access: u64,
    /// 0 general, 1 active image, 2 update slot, 3 model store, 4 arena, 5 boot loader,
    /// 6 boot state, 7 credentials.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<i64>,
    /// Bytes per second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_bandwidth: Option<u64>,
    /// Seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub erase_time_max: Option<f64>,
    /// Erase cycles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endurance: Option<u64>,
}

/// What a device reported is no capability.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum CapabilityError {
    /// A mandatory resource is absent.
    Missing(Path),
    /// A value has another type than its definition, or is out of range.
    Invalid(Path, RangeError),
    /// One value for a resource with instances, or instances of a resource without.
    Instances(Path),
    /// A resource comes twice.
    Duplicate(Path),
    /// A kernel list is malformed.
    Kernels(Path, KernelsError),
}

impl fmt::Display for CapabilityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(path) => write!(f, "the device has no {path}"),
            Self::Invalid(path, error) => write!(f, "{path}: {error}"),
            Self::Instances(path) => write!(f, "{path} is single where it has instances, or not"),
            Self::Duplicate(path) => write!(f, "{path} comes twice"),
            Self::Kernels(path, error) => write!(f, "{path}: {error}"),
        }
    }
}

impl std::error::Error for CapabilityError {}

impl Capability {
    /// A capability from the JSON of a target file.
    ///
    /// # Errors
    /// Not the JSON of a capability.
    pub fn from_json(json: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(json)
    }

    /// The capability as the JSON of a target file.
    ///
    /// # Errors
    /// A float is not finite.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self)
    }

    /// The digest that a device with this capability reports.
    #[must_use]
    pub fn digest(&self) -> [u8; DIGEST_LEN] {
        super::digest(&self.constant_and_dynamic())
    }
}
