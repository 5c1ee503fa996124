//! Compute Platform, Compute Unit, Memory Region, ML Model and Inference (objects 27300 to 27304).

#[cfg(feature = "alloc")]
mod descriptor;
#[cfg(feature = "std")]
mod stored;

#[cfg(feature = "alloc")]
pub use descriptor::{
    DescriptorError, TensorDescriptor, WrongLength, read_descriptors, write_descriptors,
};

use crate::number::numbered;

numbered! {
    /// Module Formats (27300/0/4).
    ModuleFormat, "module format" {
        /// A whole firmware image.
        Firmware = 0, "firmware image";
        /// Position independent code.
        Native = 1, "native module";
        /// A plan for resident kernels, and weights.
        Plan = 2, "plan and weights";
        /// TFLite flatbuffer.
        Tflite = 3, "TFLite";
        /// ONNX.
        Onnx = 4, "ONNX";
    }
}

numbered! {
    /// Boot Protection (27300/0/11).
    BootProtection, "boot protection" {
        /// Anything boots.
        None = 0, "none";
        /// Signed images.
        Signature = 1, "signature";
        /// And none older than the last.
        Rollback = 2, "signature and rollback protection";
        /// And the debug port is locked.
        Locked = 3, "signature, rollback protection and locked debug port";
    }
}

numbered! {
    /// Unit Type (27301/x/1).
    UnitType, "type of compute unit" {
        /// Processor core.
        Cpu = 0, "CPU";
        /// Signal processor.
        Dsp = 1, "DSP";
        /// Accelerator for neural networks.
        Npu = 2, "NPU";
        /// Graphics processor.
        Gpu = 3, "GPU";
        /// Programmable logic.
        Fpga = 4, "FPGA";
        /// Other fixed function.
        Other = 5, "other";
    }
}

numbered! {
    /// A type of numbers: Data Types (27301/x/6), and the stored type of a tensor.
    DType, "data type" {
        /// Signed 8-bit.
        Int8 = 0, "int8";
        /// Signed 16-bit.
        Int16 = 1, "int16";
        /// Signed 32-bit.
        Int32 = 2, "int32";
        /// IEEE half precision.
        Float16 = 3, "float16";
        /// IEEE single precision.
        Float32 = 4, "float32";
        /// IEEE double precision.
        Float64 = 5, "float64";
        /// Signed 4-bit, two in a byte.
        Int4 = 6, "int4";
        /// One bit, eight in a byte.
        Binary = 7, "binary";
    }
}

impl DType {
    /// Bits of one number.
    #[must_use]
    pub const fn bits(self) -> usize {
        match self {
            Self::Binary => 1,
            Self::Int4 => 4,
            Self::Int8 => 8,
            Self::Int16 | Self::Float16 => 16,
            Self::Int32 | Self::Float32 => 32,
            Self::Float64 => 64,
        }
    }

    /// Bytes of `count` numbers, the last one filled up.
    #[must_use]
    pub const fn bytes(self, count: usize) -> usize {
        match self {
            Self::Binary | Self::Int4 => (count.saturating_mul(self.bits())).div_ceil(8),
            _ => count.saturating_mul(self.bits() / 8),
        }
    }

    /// Lowest and highest stored value of the signed integers up to 32 bits.
    #[must_use]
    pub const fn range(self) -> Option<(i32, i32)> {
        match self {
            Self::Int4 => Some((-8, 7)),
            Self::Int8 => Some((i8::MIN as i32, i8::MAX as i32)),
            Self::Int16 => Some((i16::MIN as i32, i16::MAX as i32)),
            Self::Int32 => Some((i32::MIN, i32::MAX)),
            Self::Float16 | Self::Float32 | Self::Float64 | Self::Binary => None,
        }
    }
}

numbered! {
    /// Kind (27302/x/1).
    RegionKind, "kind of memory region" {
        /// Internal flash.
        Flash = 0, "internal flash";
        /// RAM.
        Sram = 1, "SRAM";
        /// RAM beside the core.
        Tcm = 2, "tightly coupled RAM";
        /// Seen at an address.
        ExternalFlash = 3, "external flash, memory mapped";
        /// Outside of the chip.
        ExternalRam = 4, "external RAM";
        /// Reached by commands.
        UnmappedFlash = 5, "external flash, not memory mapped";
        /// Written byte by byte.
        Eeprom = 6, "EEPROM or FRAM";
    }
}

numbered! {
    /// Roles (27302/x/8).
    RegionRole, "role of a memory region" {
        /// Whatever is needed.
        General = 0, "general";
        /// The image that runs.
        ActiveImage = 1, "active image";
        /// The image that is received.
        UpdateSlot = 2, "update slot";
        /// Modules.
        ModelStore = 3, "model store";
        /// Activations.
        Arena = 4, "arena";
        /// What boots the image.
        BootLoader = 5, "boot loader";
        /// What the boot loader keeps.
        BootState = 6, "boot state";
        /// Keys and accounts.
        Credentials = 7, "credentials";
    }
}

/// Bits of Access (27302/x/7).
pub mod access {
    /// The core reads it.
    pub const READ: u64 = 1 << 0;
    /// The core writes it.
    pub const WRITE: u64 = 1 << 1;
    /// The core runs code in it.
    pub const EXECUTE: u64 = 1 << 2;
    /// DMA reaches it.
    pub const DMA: u64 = 1 << 3;
    /// Accelerators reach it.
    pub const ACCELERATOR: u64 = 1 << 4;
    /// Kept in sleep.
    pub const RETAINED: u64 = 1 << 5;
}

numbered! {
    /// State of a model slot (27303/x/7).
    SlotState, "state of ML Model" {
        /// No module.
        Empty = 0, "empty";
        /// A package is being written here.
        Receiving = 1, "receiving";
        /// Complete; digest, device, ABI and memory match.
        Verified = 2, "verified";
        /// Runs, not committed.
        Trial = 3, "trial";
        /// Runs.
        Active = 4, "active";
        /// Refused, or failed its self test.
        Failed = 5, "failed";
        /// Ran, and was replaced by the module before.
        RolledBack = 6, "rolled back";
    }
}

impl SlotState {
    /// Does the slot hold a module that was complete and checked?
    #[must_use]
    pub const fn holds_module(self) -> bool {
        matches!(
            self,
            Self::Verified | Self::Trial | Self::Active | Self::RolledBack
        )
    }
}

numbered! {
    /// Result of a model slot (27303/x/8).
    ModelResult, "result of ML Model" {
        /// Nothing to tell.
        None = 0, "none";
        /// Committed, or the self test passed.
        Success = 1, "success";
        /// The signature is not valid, or the package is older than the last one committed.
        Signature = 2, "signature invalid";
        /// The bytes are not those the package promises.
        Digest = 3, "digest mismatch";
        /// Built for another device.
        OtherDevice = 4, "built for another device";
        /// Built for another runtime ABI.
        Abi = 5, "built for another ABI version";
        /// Needs more arena than there is.
        Arena = 6, "arena too small";
        /// Does not fit the slot.
        Storage = 7, "storage full";
        /// Needs an operator or format that this device does not have.
        Unsupported = 8, "unsupported operator or format";
        /// The golden inputs gave other results.
        SelfTest = 9, "self test failed";
        /// The module ran into a fault.
        Fault = 10, "fault while running";
        /// The watchdog ended it.
        Watchdog = 11, "watchdog";
        /// Nobody committed in time.
        Deadline = 12, "trial deadline passed without commit";
        /// The device was reset while the trial ran.
        ResetInTrial = 13, "reset during trial";
    }
}

impl ModelResult {
    /// Did something go wrong?
    #[must_use]
    pub const fn is_fault(self) -> bool {
        !matches!(self, Self::None | Self::Success)
    }
}

numbered! {
    /// When inferences run (27304/x/2).
    Mode, "mode of Inference" {
        /// On Run only.
        OnRun = 0, "on run";
        /// Every period.
        Periodic = 1, "periodic";
        /// When the input changes.
        OnChange = 2, "on change";
    }
}

numbered! {
    /// What an output of a model means; the name is what descriptors (27303/x/18) carry, the number
    /// what modules do.
    Task, "task" {
        /// One score per class; the class is the highest.
        Classify = 1, "classify";
        /// Real numbers.
        Regress = 2, "regress";
        /// The input again; the mean squared error is an anomaly score.
        Reconstruct = 3, "reconstruct";
    }
}
