//! What survives a reset: the journal and the records in it.

pub(crate) mod journal;
