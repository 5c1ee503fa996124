//! Backends: from a planned graph to what a device executes.

pub(crate) mod portable;
