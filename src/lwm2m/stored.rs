//! The record of a registration: everything that a restarted server must know of a device.

use std::net::SocketAddr;
use std::sync::Arc;

use lwm2m_objects::{ContentFormat, Path};
use serde::{Deserialize, Serialize};
use tinsmith_coap::Token;

use super::device::{Context, Device};
use super::observation::Observation;
use super::route::location;
use super::types::{Endpoint, Registration};
use super::{Identity, ListenerId, Peer};
use tinsmith_store::{Key, Kind, Op, RecordError, decode, encode};

/// Of the records below.
const SCHEMA: u16 = 1;

#[derive(Serialize, Deserialize)]
struct Record {
    location: u64,
    identity: Identity,
    listener: u8,
    address: SocketAddr,
    association: u32,
    root: Vec<String>,
    lifetime: u32,
    version: String,
    binding: String,
    objects: Vec<(String, Option<String>)>,
    formats: Vec<u16>,
    parameters: Vec<(String, String)>,
    registered: u64,
    seen: u64,
    expires: u64,
    observations: Vec<(Vec<u8>, String, Option<u16>)>,
}

/// The key of a device's record.
pub(super) fn key(endpoint: &str) -> Key {
    Key::new(Kind::REGISTRATION, endpoint)
}

/// The record of a device, to be written.
pub(super) fn write(device: &Device) -> Result<Op, RecordError> {
    let r = &device.registration;
    let record = Record {
        location: device.location,
        identity: device.identity.clone(),
        listener: device.listener.0,
        address: device.peer.address,
        association: device.peer.association,
        root: device.root.clone(),
        lifetime: r.lifetime,
        version: r.version.clone(),
        binding: r.binding.clone(),
        objects: r
            .objects
            .iter()
            .map(|(p, v)| (p.to_string(), v.clone()))
            .collect(),
        formats: r.formats.clone(),
        parameters: r.parameters.clone(),
        registered: r.registered,
        seen: r.seen,
        expires: r.expires,
        observations: device
            .observations
            .iter()
            .map(|o| {
                (
                    o.token.as_bytes().to_vec(),
                    o.path.to_string(),
                    o.accept.map(|f| f.0),
                )
            })
            .collect(),
    };
    Ok(Op::Put(key(&r.endpoint), encode(SCHEMA, &record)?))
}

/// A device from its record. Its lifetime goes on, and is at least `restart_grace` from now.
pub(super) fn read(cx: &mut Context<'_>, key: &Key, bytes: &[u8]) -> Result<Device, RecordError> {
    let content = |e: &dyn std::fmt::Display| RecordError::Content(e.to_string());
    let record: Record = decode(SCHEMA, bytes)?;
    let endpoint: Endpoint = std::str::from_utf8(&key.id)
        .map_err(|e| content(&e))?
        .into();
    let bucket = super::bucket(&endpoint);
    let path = |text: &str| text.parse::<Path>().map_err(|e| content(&e));
    let mut objects = Vec::with_capacity(record.objects.len());
    for (text, version) in record.objects {
        objects.push((path(&text)?, version));
    }
    let mut observations = Vec::with_capacity(record.observations.len());
    for (token, text, accept) in &record.observations {
        let token = Token::new(token).ok_or_else(|| content(&"a token is too long"))?;
        let accept = accept.map(ContentFormat);
        observations.push(Observation {
            token,
            path: path(text)?,
            accept,
            freshness: None,
        });
    }
    let left = record
        .expires
        .saturating_sub(cx.now.wall)
        .max(cx.limits.restart_grace);
    let peer = Peer {
        address: record.address,
        association: record.association,
    };
    Ok(Device {
        registration: Arc::new(Registration {
            endpoint,
            location: location(bucket, record.location),
            lifetime: record.lifetime,
            version: record.version,
            binding: record.binding,
            address: peer.to_string(),
            objects,
            formats: record.formats,
            parameters: record.parameters,
            registered: record.registered,
            seen: record.seen,
            expires: cx.now.wall.saturating_add(left),
        }),
        root: record.root,
        identity: record.identity,
        listener: ListenerId(record.listener),
        peer,
        bucket,
        location: record.location,
        serial: 0,
        register_id: None,
        expires: cx.now.mono.saturating_add(left),
        stored_expires: record.expires,
        stored: true,
        coap: cx.coap(),
        queue: Default::default(),
        open: None,
        observations,
        refused: Vec::new(),
        dirty: false,
        timer: None,
    })
}
