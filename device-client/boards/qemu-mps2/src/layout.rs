//! Where things are, as the target file says.

include!(concat!(env!("OUT_DIR"), "/layout.rs"));

/// Bytes of the main stack that a module may use; RAM has megabytes left above the statics.
pub const MODULE_STACK_BYTES: usize = 8192;
