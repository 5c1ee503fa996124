//! The sockets. They only frame and (later) decrypt; everything else is the cores'.

pub mod udp;

pub use udp::{Outgoing, ReceiveBatch, UdpListener};
