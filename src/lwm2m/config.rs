//! What a shard is told at its start.

use super::models::ModelSource;
use super::peer::Role;
use super::rule::BootstrapConfig;

/// Limits of one shard; what is over one is refused, with the code the field names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Registered devices (5.03).
    pub registrations: usize,
    /// Registered devices at addresses that are not proven: whoever was not heard for the longest
    /// time is forgotten.
    pub strangers: usize,
    /// The same of one source: an IPv4 address or an IPv6 /64.
    pub strangers_per_source: usize,
    /// Milliseconds that a registration lives at most while its address is not proven; the device
    /// is asked before it ends.
    pub stranger_lifetime: u64,
    /// Senders on this machine (127.0.0.0/8, ::1) count as proven: for simulators and benchmarks.
    /// Not behind a proxy that runs on this machine.
    pub exempt_loopback: bool,
    /// Bytes of a Register's or Update's payload, which may come block-wise (4.13).
    pub payload: u32,
    /// Object links in it (4.13).
    pub links: usize,
    /// Block-wise Registers and Updates under way of peers that proved nothing, and as many of
    /// others; the one whose last block is the oldest is forgotten.
    pub uploads: usize,
    /// The same of one source: an IPv4 address or an IPv6 /64.
    pub uploads_per_source: usize,
    /// Requests that wait for one device; one more ends as `Outcome::Cancelled`.
    pub queue: usize,
    /// Durable requests of one device, waiting or open; one more ends as `Outcome::Cancelled`.
    pub durable: usize,
    /// Durable requests that wait for devices that are not registered; one more ends as
    /// `Outcome::Cancelled`.
    pub away: usize,
    /// Observations of one device; the oldest is forgotten.
    pub observations: usize,
    /// Bytes of an answer that is read (`Outcome::Malformed`).
    pub answer: u32,
    /// Devices that are bootstrapping and have not answered yet, and as many that have; whoever was
    /// not heard for the longest time is forgotten.
    pub bootstraps: usize,
    /// The same of one source, of those that have not answered.
    pub bootstraps_per_source: usize,
    /// Registered devices behind one address that answers without a token can be matched to.
    pub devices_per_peer: usize,
    /// Milliseconds that a device may take from its acknowledgement to its response.
    pub response_timeout: u32,
    /// Milliseconds that a registration lives at least after a restart of the server, for
    /// devices whose Updates came while it was down.
    pub restart_grace: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            registrations: 200_000,
            strangers: 20_000,
            strangers_per_source: 256,
            stranger_lifetime: 86_400_000,
            exempt_loopback: false,
            payload: 16 * 1024,
            links: 512,
            uploads: 2048,
            uploads_per_source: 64,
            queue: 64,
            durable: 16,
            away: 100_000,
            observations: 64,
            answer: 256 * 1024,
            bootstraps: 4096,
            bootstraps_per_source: 256,
            devices_per_peer: 64,
            response_timeout: 60_000,
            restart_grace: 120_000,
        }
    }
}

/// What a shard is told at its start.
#[derive(Clone, Debug)]
pub struct ShardConfig {
    /// Below `shards`.
    pub index: u8,
    /// 1 to 16.
    pub shards: u8,
    /// The role of each listener, by id.
    pub listeners: Vec<Role>,
    /// For listeners of the role Bootstrap.
    pub bootstrap: BootstrapConfig,
    /// Object definitions.
    pub models: ModelSource,
    /// Of everything.
    pub limits: Limits,
    /// 32 unpredictable bytes, others at each start.
    pub seed: [u8; 32],
}
