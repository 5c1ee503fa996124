//! What survives a reset: the journal and the records in it.

pub(crate) mod accounts;
pub(crate) mod codec;
pub(crate) mod journal;
