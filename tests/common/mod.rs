//! What the tests share: the program as real processes, a network between them that counts and
//! cuts, and what a module must compute.
#![allow(dead_code, reason = "each test uses a part")]

pub(crate) mod leshan;
pub(crate) mod modules;
pub(crate) mod openssl;
pub(crate) mod process;
pub(crate) mod proxy;
pub(crate) mod qemu;

/// How often something is done: what the environment says, or what an ordinary run can afford.
pub(crate) fn times(variable: &str, ordinary: usize) -> usize {
    match std::env::var(variable) {
        Ok(number) => number.parse().expect("a number"),
        Err(_) => ordinary,
    }
}
