//! Updates: Object 5, module slots, receiving, trial, commit and rollback.

pub(crate) mod firmware;
mod push;
pub(crate) mod receiver;
pub(crate) mod slot;
pub(crate) mod state;
mod trial;
