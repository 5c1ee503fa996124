//! The record of a registration: everything that a restarted server must know of a device.

mod v1;

use std::borrow::Cow;
use std::sync::Arc;

use lwm2m_objects::{ContentFormat, Path};
use serde::{Deserialize, Serialize};
use tinsmith_coap::Token;
use tracing::warn;

use super::entry::Entry;
use super::link::Link;
use super::observation::{Observation, Observations};
use super::proof::Proof;
use super::route::location;
use super::shared::Context;
use super::target::Target;
use super::types::{Announced, Endpoint, Registration};
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
    objects: Vec<ObjectLink<'r>>,
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
    /// Of an address that is not proven: bytes that it may be sent.
    #[serde(rename = "un", default, skip_serializing_if = "Option::is_none")]
    unproven: Option<u32>,
}

#[derive(Serialize, Deserialize)]
struct ObjectLink<'r> {
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

/// What a record says of a device.
pub(super) struct Restored {
    pub(super) entry: Entry,
    pub(super) link: Link,
    pub(super) observations: Observations,
    /// As stored, wall time.
    pub(super) expires: u64,
}

/// The record of a device, to be written; `None` if there can't be one, which is a bug of ours.
pub(super) fn write(entry: &Entry, link: &Link, observations: &Observations) -> Option<Op> {
    let r = &entry.registration;
    let record = Record {
        location: entry.location,
        identity: Cow::Borrowed(&link.identity),
        listener: link.listener.0,
        address: link.peer.address.to_string().into(),
        association: link.peer.association,
        root: r.announced.root.as_slice().into(),
        lifetime: r.lifetime,
        version: r.announced.version.as_str().into(),
        binding: r.announced.binding.as_str().into(),
        objects: r.announced.objects.iter().map(object).collect(),
        formats: r.announced.formats.as_slice().into(),
        parameters: r.announced.parameters.iter().map(parameter).collect(),
        registered: r.registered,
        seen: r.seen,
        expires: r.expires,
        observations: observations.iter().map(observed).collect(),
        unproven: match link.proof {
            Proof::None { left } => Some(left),
            _ => None,
        },
    };
    match encode(SCHEMA, &record) {
        Ok(bytes) => Some(Op::Put(key(&r.endpoint), bytes)),
        Err(error) => {
            warn!(%error, endpoint = %r.endpoint, "a registration can't be stored");
            None
        }
    }
}

fn object((path, version): &(Path, Option<String>)) -> ObjectLink<'_> {
    ObjectLink {
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
pub(super) fn read(cx: &mut Context<'_>, key: &Key, bytes: &[u8]) -> Result<Restored, RecordError> {
    let content = |e: &dyn std::fmt::Display| RecordError::Content(e.to_string());
    let record = parse(bytes)?;
    let endpoint: Endpoint = std::str::from_utf8(&key.id)
        .map_err(|e| content(&e))?
        .into();
    let bucket = super::bucket(&endpoint);
    let observation = |observed: &Observed| {
        Ok(Observation {
            token: Token::new(&observed.token).ok_or_else(|| content(&"a token is too long"))?,
            target: Target::new(&observed.paths)
                .ok_or_else(|| content(&"an observation of nothing"))?,
            accept: observed.accept.map(ContentFormat),
            freshness: None,
        })
    };
    let observations = record.observations.iter().map(observation);
    let observations = observations.collect::<Result<_, RecordError>>()?;
    let left = record
        .expires
        .saturating_sub(cx.now.wall)
        .max(cx.limits.restart_grace);
    let peer = Peer {
        address: record.address.parse().map_err(|e| content(&e))?,
        association: record.association,
    };
    let announced = Announced {
        version: record.version.into_owned(),
        binding: record.binding.into_owned(),
        root: record.root.into_owned(),
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
    };
    let registration = Registration {
        endpoint,
        location: location(bucket, record.location),
        lifetime: record.lifetime,
        address: peer.to_string(),
        announced: cx.kinds.share(Arc::new(announced)),
        registered: record.registered,
        seen: record.seen,
        expires: cx.now.wall.saturating_add(left),
    };
    Ok(Restored {
        entry: Entry {
            models: cx.models.models(&registration),
            registration: Arc::new(registration),
            bucket,
            location: record.location,
            register_id: None,
            expires: cx.now.mono.saturating_add(left),
        },
        link: Link::restored(
            cx,
            (ListenerId(record.listener), peer),
            record.identity.into_owned(),
            record.unproven,
        ),
        observations,
        expires: record.expires,
    })
}

#[cfg(test)]
mod tests;
