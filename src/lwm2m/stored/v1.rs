//! Schema 1: keys by place, the address and other things of several parts as lists.

use std::net::SocketAddr;

use lwm2m_objects::Path;
use serde::Deserialize;

use super::super::Identity;
use super::{ObjectLink, Observed, Parameter, Record};
use tinsmith_store::{RecordError, decode};

/// In the order of its keys.
#[derive(Deserialize)]
struct Old {
    location: u64,
    identity: Identity,
    listener: u8,
    address: SocketAddr,
    association: u32,
    root: Vec<String>,
    lifetime: u32,
    version: String,
    binding: String,
    objects: Vec<(Path, Option<String>)>,
    formats: Vec<u16>,
    parameters: Vec<(String, String)>,
    registered: u64,
    seen: u64,
    expires: u64,
    observations: Vec<(Vec<u8>, Path, Option<u16>)>,
}

pub(super) fn parse(bytes: &[u8]) -> Result<Record<'static>, RecordError> {
    let old: Old = decode(1..=1, bytes)?;
    let link = |(path, version): (Path, Option<String>)| ObjectLink {
        path,
        version: version.map(Into::into),
    };
    let parameter = |(name, value): (String, String)| Parameter {
        name: name.into(),
        value: value.into(),
    };
    let observed = |(token, path, accept)| Observed {
        token,
        paths: vec![path],
        accept,
    };
    Ok(Record {
        location: old.location,
        identity: std::borrow::Cow::Owned(old.identity),
        listener: old.listener,
        address: old.address.to_string().into(),
        association: old.association,
        root: old.root.into(),
        lifetime: old.lifetime,
        version: old.version.into(),
        binding: old.binding.into(),
        objects: old.objects.into_iter().map(link).collect(),
        formats: old.formats.into(),
        parameters: old.parameters.into_iter().map(parameter).collect(),
        registered: old.registered,
        seen: old.seen,
        expires: old.expires,
        observations: old.observations.into_iter().map(observed).collect(),
        unproven: None,
    })
}
