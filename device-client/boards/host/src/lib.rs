//! A device as a process: the client on sockets, with its flash in a file
#![cfg_attr(not(any(test, feature = "std")), no_std)]
