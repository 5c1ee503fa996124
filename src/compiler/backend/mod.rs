//! Backends: from a planned graph to what a device executes.

pub mod portable;
