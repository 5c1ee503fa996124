//! Certificates of P-256, made by hand.
#![allow(dead_code, unreachable_pub)]

use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};

use super::pairs;

/// Who has a certificate: a name and a secret scalar, in every byte.
#[derive(Clone, Copy, Debug)]
pub struct Holder {
    pub name: &'static str,
    pub secret: u8,
}

const fn holder(name: &'static str, secret: u8) -> Holder {
    Holder { name, secret }
}

pub const ROOT: Holder = holder("root", 1);
pub const BELOW: Holder = holder("below", 2);
pub const LOWEST: Holder = holder("lowest", 3);
pub const SERVER: Holder = holder("server.example", 4);
pub const CLIENT: Holder = holder("device-1", 5);

/// What a certificate is to say; what is empty is left out.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    pub dns: &'static [&'static str],
    pub address: &'static [u8],
    /// An authority, with the longest path below it.
    pub authority: Option<Option<u8>>,
    /// First byte of the key usage.
    pub usage: Option<u8>,
    /// Last byte of the purpose id-kp-...: 1 servers, 2 clients.
    pub purpose: Option<u8>,
    /// Years of the beginning and of the end, since 2000.
    pub years: [u8; 2],
    /// Identifier of an extension that nobody knows, and whether it is critical.
    pub other: Option<(&'static [u8], bool)>,
    /// Version 1, without extensions.
    pub first_version: bool,
}

pub const PLAIN: Wish = Wish {
    dns: &[],
    address: &[],
    authority: None,
    usage: None,
    purpose: None,
    years: [20, 40],
    other: None,
    first_version: false,
};

pub const AUTHORITY: Wish = Wish {
    authority: Some(None),
    usage: Some(0x06),
    ..PLAIN
};

/// ecdsa-with-SHA256.
const ALGORITHM: &[u8] = &[0x30, 10, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];

pub fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let len = content.len();
    let head = match len {
        0..=0x7f => vec![tag, len as u8],
        0x80..=0xff => vec![tag, 0x81, len as u8],
        _ => vec![tag, 0x82, (len >> 8) as u8, len as u8],
    };
    [head, content].concat()
}

fn name(text: &str) -> Vec<u8> {
    let pair = der(0x30, &[&[6, 3, 0x55, 4, 3], &der(0x0c, &[text.as_bytes()])]);
    der(0x30, &[&der(0x31, &[&pair])])
}

fn extension(id: &[u8], critical: bool, value: &[u8]) -> Vec<u8> {
    let critical: &[u8] = if critical { &[1, 1, 0xff] } else { &[] };
    der(0x30, &[&der(6, &[id]), critical, &der(4, &[value])])
}

fn extensions(wish: &Wish) -> Vec<u8> {
    let mut all = Vec::new();
    if let Some(longest) = wish.authority {
        let longest = longest.map(|n| der(2, &[&[n]])).unwrap_or_default();
        let value = der(0x30, &[&[1, 1, 0xff], &longest]);
        all.push(extension(&[0x55, 0x1d, 19], true, &value));
    }
    if let Some(usage) = wish.usage {
        let value = der(3, &[&[0, usage]]);
        all.push(extension(&[0x55, 0x1d, 15], true, &value));
    }
    if let Some(purpose) = wish.purpose {
        let purpose = der(6, &[&[0x2b, 6, 1, 5, 5, 7, 3, purpose]]);
        let value = der(0x30, &[&purpose]);
        all.push(extension(&[0x55, 0x1d, 37], false, &value));
    }
    let names = wish.dns.iter().map(|name| der(0x82, &[name.as_bytes()]));
    let mut names = names.collect::<Vec<_>>().concat();
    if !wish.address.is_empty() {
        names.extend(der(0x87, &[wish.address]));
    }
    if !names.is_empty() {
        let value = der(0x30, &[&names]);
        all.push(extension(&[0x55, 0x1d, 17], false, &value));
    }
    if let Some((id, critical)) = wish.other {
        all.push(extension(id, critical, &[5, 0]));
    }
    all.concat()
}

/// The certificate of a holder, signed by another.
pub fn certificate(issuer: Holder, subject: Holder, wish: &Wish) -> Vec<u8> {
    let [from, until] = wish.years.map(|year| format!("{year:02}0101000000Z"));
    let times = [from, until].map(|time| der(0x17, &[time.as_bytes()]));
    let version: &[u8] = if wish.first_version {
        &[]
    } else {
        &[0xa0, 3, 2, 1, 2]
    };
    let more = extensions(wish);
    let more = match more.is_empty() || wish.first_version {
        true => Vec::new(),
        false => der(0xa3, &[&der(0x30, &[&more])]),
    };
    let signed = der(
        0x30,
        &[
            version,
            &[2, 1, subject.secret],
            ALGORITHM,
            &name(issuer.name),
            &der(0x30, &[&times[0], &times[1]]),
            &name(subject.name),
            &pairs::info(subject.secret),
            &more,
        ],
    );
    let signer = SigningKey::from(pairs::key(issuer.secret));
    let signature: Signature = signer.sign(&signed);
    let signature = der(3, &[&[0], signature.to_der().as_bytes()]);
    der(0x30, &[&signed, ALGORITHM, &signature])
}

/// The body of a Certificate that shows these.
pub fn list(all: &[&[u8]]) -> Vec<u8> {
    let all: Vec<Vec<u8>> = all.iter().map(|one| pairs::with_length(one)).collect();
    pairs::with_length(&all.concat())
}
