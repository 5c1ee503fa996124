//! Whole stories in virtual time: a client on a flash that can lose power, and servers that follow
//! a script.

mod bad_input;
mod lifecycle;
mod manage;
mod power;
mod update;
mod world;
