//! Whole stories in virtual time: a client on a flash that can lose power, and servers that follow
//! a script.

mod bad_input;
mod flash_trouble;
#[cfg(feature = "dtls")]
mod kept;
mod lifecycle;
mod manage;
mod object;
mod odd_requests;
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
