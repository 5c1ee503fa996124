//! The record of a registration: everything that a restarted server must know of a device.

mod v1;

use std::borrow::Cow;
use std::sync::Arc;

use lwm2m_objects::{ContentFormat, Path};
use serde::{Deserialize, Serialize};
use tinsmith_coap::Token;

use super::device::{Device, Stage};
use super::observation::Observation;
use super::route::location;
use super::shared::Context;
use super::target::Target;
use super::types::{Endpoint, Registration};
use super::{Identity, ListenerId, Peer};
use tinsmith_store::{Key, Kind, Op, RecordError, decode, encode, schema};

/// Of the records below; schema 1 is read too.
const SCHEMA: u16 = 2;

/// Keys are short: there is one record for each device, written with each Register.
#[derive(Serialize, Deserialize)]
struct Record<'r> {
    /// The random part of the location.
    #[serde(rename = "loc")]
    location: u64,
    #[serde(rename = "id")]
    identity: Cow<'r, Identity>,
    #[serde(rename = "ln")]
    listener: u8,
    /// `ADDRESS:PORT`.
    #[serde(rename = "ad")]
    address: Cow<'r, str>,
    #[serde(rename = "as")]
    association: u32,
    #[serde(rename = "rt")]
    root: Cow<'r, [String]>,
    #[serde(rename = "lt")]
    lifetime: u32,
    #[serde(rename = "v")]
    version: Cow<'r, str>,
    #[serde(rename = "b")]
    binding: Cow<'r, str>,
    #[serde(rename = "ob")]
    objects: Vec<Link<'r>>,
    #[serde(rename = "ct")]
    formats: Cow<'r, [u16]>,
    #[serde(rename = "pa")]
    parameters: Vec<Parameter<'r>>,
    #[serde(rename = "reg")]
    registered: u64,
    #[serde(rename = "seen")]
    seen: u64,
    #[serde(rename = "exp")]
    expires: u64,
    #[serde(rename = "obs")]
    observations: Vec<Observed>,
}

#[derive(Serialize, Deserialize)]
struct Link<'r> {
    #[serde(rename = "p")]
    path: Path,
    #[serde(rename = "v", skip_serializing_if = "Option::is_none")]
    version: Option<Cow<'r, str>>,
}

#[derive(Serialize, Deserialize)]
struct Parameter<'r> {
    #[serde(rename = "n")]
    name: Cow<'r, str>,
    #[serde(rename = "v")]
    value: Cow<'r, str>,
}

#[derive(Serialize, Deserialize)]
struct Observed {
    #[serde(rename = "tk")]
    token: Vec<u8>,
    #[serde(rename = "p")]
    paths: Vec<Path>,
    #[serde(rename = "ac", skip_serializing_if = "Option::is_none")]
    accept: Option<u16>,
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
        identity: Cow::Borrowed(&device.identity),
        listener: device.listener.0,
        address: device.peer.address.to_string().into(),
        association: device.peer.association,
        root: device.root.as_slice().into(),
        lifetime: r.lifetime,
        version: r.version.as_str().into(),
        binding: r.binding.as_str().into(),
        objects: r.objects.iter().map(link).collect(),
        formats: r.formats.as_slice().into(),
        parameters: r.parameters.iter().map(parameter).collect(),
        registered: r.registered,
        seen: r.seen,
        expires: r.expires,
        observations: device.observations.iter().map(observed).collect(),
    };
    Ok(Op::Put(key(&r.endpoint), encode(SCHEMA, &record)?))
}

fn link((path, version): &(Path, Option<String>)) -> Link<'_> {
    Link {
        path: *path,
        version: version.as_deref().map(Cow::Borrowed),
    }
}

fn parameter((name, value): &(String, String)) -> Parameter<'_> {
    Parameter {
        name: name.into(),
        value: value.into(),
    }
}

fn observed(observation: &Observation) -> Observed {
    Observed {
        token: observation.token.as_bytes().to_vec(),
        paths: observation.target.paths().to_vec(),
        accept: observation.accept.map(|format| format.0),
    }
}

fn parse(bytes: &[u8]) -> Result<Record<'static>, RecordError> {
    match schema(bytes)? {
        1 => v1::parse(bytes),
        _ => decode(SCHEMA..=SCHEMA, bytes),
    }
}

/// A device from its record. Its lifetime goes on, and is at least `restart_grace` from now.
pub(super) fn read(cx: &mut Context<'_>, key: &Key, bytes: &[u8]) -> Result<Device, RecordError> {
    let content = |e: &dyn std::fmt::Display| RecordError::Content(e.to_string());
    let record = parse(bytes)?;
    let endpoint: Endpoint = std::str::from_utf8(&key.id)
        .map_err(|e| content(&e))?
        .into();
    let bucket = super::bucket(&endpoint);
    let mut observations = Vec::with_capacity(record.observations.len());
    for Observed {
        token,
        paths,
        accept,
    } in &record.observations
    {
        let token = Token::new(token).ok_or_else(|| content(&"a token is too long"))?;
        let target = Target::new(paths).ok_or_else(|| content(&"an observation of nothing"))?;
        observations.push(Observation {
            token,
            target,
            accept: accept.map(ContentFormat),
            freshness: None,
        });
    }
    let left = record
        .expires
        .saturating_sub(cx.now.wall)
        .max(cx.limits.restart_grace);
    let peer = Peer {
        address: record.address.parse().map_err(|e| content(&e))?,
        association: record.association,
    };
    let registration = Registration {
        endpoint,
        location: location(bucket, record.location),
        lifetime: record.lifetime,
        version: record.version.into_owned(),
        binding: record.binding.into_owned(),
        address: peer.to_string(),
        objects: record
            .objects
            .into_iter()
            .map(|link| (link.path, link.version.map(Cow::into_owned)))
            .collect(),
        formats: record.formats.into_owned(),
        parameters: record
            .parameters
            .into_iter()
            .map(|p| (p.name.into_owned(), p.value.into_owned()))
            .collect(),
        registered: record.registered,
        seen: record.seen,
        expires: cx.now.wall.saturating_add(left),
    };
    Ok(Device {
        models: cx.models.models(&registration),
        registration: Arc::new(registration),
        root: record.root.into_owned(),
        identity: record.identity.into_owned(),
        listener: ListenerId(record.listener),
        peer,
        bucket,
        location: record.location,
        serial: 0,
        register_id: None,
        expires: cx.now.mono.saturating_add(left),
        stored_expires: record.expires,
        stage: Stage::Here,
        coap: cx.coap(),
        queue: Default::default(),
        open: None,
        silent: false,
        observations,
        refused: Vec::new(),
        dirty: false,
        timer: None,
    })
}

#[cfg(test)]
mod tests;
