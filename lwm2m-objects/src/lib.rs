//! LwM2M object definitions, paths, values and content formats, without heap
#![cfg_attr(not(any(test, feature = "std")), no_std)]
