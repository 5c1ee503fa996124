//! Updates: Object 5, module slots, receiving, trial, commit and rollback.

pub(crate) mod firmware;
pub(crate) mod slot;
pub(crate) mod state;
