//! Everything that reads bytes from the network or from a file of unknown origin, as functions
//! that must not panic, whatever the bytes are.
//!
//! The same functions are called by the fuzzer (`run.sh`) and by the test that replays `corpus/`.

mod targets {
    pub(crate) mod client_device;
    pub(crate) mod coap_endpoint;
    pub(crate) mod coap_message;
    pub(crate) mod dtls_client;
    pub(crate) mod dtls_key_pairs;
    pub(crate) mod dtls_record;
    pub(crate) mod dtls_server;
    pub(crate) mod formats;
    pub(crate) mod link;
    pub(crate) mod module;
    pub(crate) mod oscore;
    pub(crate) mod package;
    pub(crate) mod samples;
    pub(crate) mod server_oscore;
    pub(crate) mod server_shard;
    pub(crate) mod signature;
}

use targets::{
    client_device, coap_endpoint, coap_message, dtls_client, dtls_key_pairs, dtls_record,
    dtls_server, formats, link, module, oscore, package, samples, server_oscore, server_shard,
    signature,
};

/// Reads the bytes and panics if something is wrong.
pub type Target = fn(&[u8]);

/// Every target, by name.
pub const TARGETS: &[(&str, Target)] = &[
    ("cbor", formats::cbor),
    ("client_device", client_device::run),
    ("coap_endpoint", coap_endpoint::run),
    ("coap_message", coap_message::run),
    ("dtls_client", dtls_client::run),
    ("dtls_key_pairs", dtls_key_pairs::run),
    ("dtls_record", dtls_record::run),
    ("dtls_server", dtls_server::run),
    ("link", link::run),
    ("lwm2m_cbor", formats::lwm2m_cbor),
    ("module", module::run),
    ("oscore", oscore::run),
    ("package", package::run),
    ("samples", samples::run),
    ("senml_cbor", formats::senml_cbor),
    ("senml_json", formats::senml_json),
    ("server_oscore", server_oscore::run),
    ("server_shard", server_shard::run),
    ("signature", signature::run),
    ("text", formats::text),
    ("tlv", formats::tlv),
];

/// The target of a name.
#[must_use]
pub fn target(name: &str) -> Option<Target> {
    let found = TARGETS.iter().find(|(of, _)| *of == name);
    found.map(|(_, target)| *target)
}
