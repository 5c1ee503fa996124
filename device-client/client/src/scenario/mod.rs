//! Whole stories in virtual time: a client on a flash that can lose power, and servers that follow
//! a script.

mod bad_input;
#[cfg(feature = "oscore")]
mod far;
mod flash_trouble;
#[cfg(feature = "dtls")]
mod kept;
#[cfg(feature = "rpk")]
mod key_pairs;
mod lifecycle;
mod manage;
mod object;
mod odd_requests;
#[cfg(feature = "oscore")]
mod oscore;
#[cfg(feature = "oscore")]
mod oscore_faults;
#[cfg(all(feature = "dtls", feature = "oscore"))]
mod oscore_secured;
mod power;
mod registering;
#[cfg(feature = "dtls")]
mod secured;
mod sensor;
mod servers;
mod states;
mod steps;
mod trust;
mod trust_power;
mod update;
mod whole_writes;
mod world;
