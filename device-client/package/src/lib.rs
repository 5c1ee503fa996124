//! The SUIT package that carries a module to a device
#![cfg_attr(not(any(test, feature = "std")), no_std)]
