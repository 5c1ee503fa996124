//! The LwM2M client: bootstrap, registration, objects, updates and trial, in memory given by the caller
#![cfg_attr(not(any(test, feature = "std")), no_std)]
