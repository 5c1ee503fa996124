//! CoAP for both ends: strict zero-copy messages, reliability, Observe and block-wise transfer, without sockets or clocks
#![cfg_attr(not(any(test, feature = "std")), no_std)]
