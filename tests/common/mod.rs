//! What the tests share: the program as real processes, a network between them that counts and
//! cuts, and what a module must compute.
#![allow(dead_code, reason = "each test uses a part")]

pub(crate) mod modules;
pub(crate) mod process;
pub(crate) mod proxy;
