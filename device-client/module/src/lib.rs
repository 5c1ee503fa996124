//! The module format, its loader, the kernels and their specification
#![cfg_attr(not(any(test, feature = "std")), no_std)]
