//! What an update is: the states of Object 5 and of the slots, what of them is stored, and the
//! package as it arrives. None of it knows the rest of the client.

pub(crate) mod firmware;
pub(crate) mod receiver;
pub(crate) mod slot;
pub(crate) mod state;
