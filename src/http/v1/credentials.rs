//! `/api/v1/credentials`.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use lwm2m_objects::hex;
use serde::Deserialize;
use serde_json::{Value, json};
use tinsmith_security::{
    Authority, Context, Entry, KEY, Keys, Listed, Origin, Proof, Purpose, Rule, authority_digest,
    server_id,
};
use zeroize::Zeroizing;

use crate::{ApiError, App};

/// Entries of a page.
const PAGE: usize = 1000;
/// Bytes of a key that is made here.
const MADE: usize = 32;
/// The same of a salt, and of the ID of a device with OSCORE.
const MADE_SALT: usize = 8;
const MADE_ID: usize = 4;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct From {
    #[serde(default)]
    after: String,
    limit: Option<usize>,
}

/// Who comes in, and by what; the keys themselves are never told.
pub(crate) async fn list(
    State(app): State<App>,
    from: Result<Query<From>, QueryRejection>,
) -> Result<Json<Value>, ApiError> {
    let Query(from) = from?;
    let most = from.limit.unwrap_or(PAGE).clamp(1, PAGE);
    let page = keys(&app)?.list(&from.after, most);
    let next = page.last().filter(|_| page.len() == most);
    let next = next.map(Listed::identity);
    let entries: Vec<Value> = page.iter().map(describe_any).collect();
    Ok(Json(json!({ "credentials": entries, "next": next })))
}

/// What is to be added: a pre-shared key, a raw public key, or names of certificates.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct New {
    endpoints: String,
    identity: Option<String>,
    purpose: Purpose,
    /// Hexadecimal digits; without it a key is made.
    key: Option<Zeroizing<String>>,
    /// PEM, or hexadecimal digits of the SubjectPublicKeyInfo or of its SHA-256 digest.
    raw_key: Option<String>,
    /// The name in the certificate, or a pattern for it; empty: that of the endpoint.
    certificate: Option<String>,
    /// Who has to vouch for the certificate: its subject or common name, its certificate in PEM, or
    /// hexadecimal digits of the SHA-256 digest of its SubjectPublicKeyInfo.
    authority: Option<String>,
    /// An OSCORE context, whose master secret is the key.
    oscore: Option<Oscore>,
}

/// What an OSCORE context has besides its secret, in hexadecimal digits, as the device sees it. What
/// is not given is made.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Oscore {
    sender_id: Option<String>,
    recipient_id: Option<String>,
    id_context: Option<String>,
    master_salt: Option<String>,
}

fn digits(name: &str, text: Option<&String>) -> Result<Option<Vec<u8>>, ApiError> {
    let Some(text) = text else { return Ok(None) };
    let bytes = hex::decode(text.trim());
    let wrong = || ApiError::bad_request(format!("{name} must be hexadecimal digits"));
    bytes.map(Some).ok_or_else(wrong)
}

impl New {
    /// What a device proves, if that is no pre-shared key.
    fn proof(&self) -> Result<Option<Proof>, ApiError> {
        let is_psk = self.key.is_some() || self.identity.is_some();
        if self.authority.is_some() && self.certificate.is_none() {
            let wrong = "an authority vouches for certificates only: give certificate too";
            return Err(ApiError::bad_request(wrong));
        }
        match (&self.raw_key, &self.certificate) {
            _ if self.oscore.is_some() => {
                match (&self.raw_key, &self.certificate, &self.identity) {
                    (None, None, None) => Ok(None),
                    _ => Err(ApiError::bad_request(
                        "oscore (and key), without identity, raw_key and certificate",
                    )),
                }
            }
            (None, None) => Ok(None),
            (Some(key), None) if !is_psk => {
                let proof = Proof::raw_key(key);
                let wrong = "raw_key must be a public key of P-256 in PEM, or hexadecimal digits \
                             of its SubjectPublicKeyInfo or of the SHA-256 digest of that";
                proof.map(Some).ok_or_else(|| ApiError::bad_request(wrong))
            }
            (None, Some(name)) if !is_psk => {
                let name = (!name.is_empty()).then(|| name.clone());
                Ok(Some(Proof::Certificate(name)))
            }
            _ => Err(ApiError::bad_request(
                "one of key (and identity), raw_key and certificate, not several",
            )),
        }
    }
}

/// Adds it. A key that is made here is in this answer and nowhere else.
pub(crate) async fn add(
    State(app): State<App>,
    body: Result<Json<New>, JsonRejection>,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let Json(new) = body?;
    if let Some(proof) = new.proof()? {
        let named = new.authority.as_deref();
        let authority = named.map(|text| authority(&app.server.authorities(), text));
        let rule = Rule {
            authority: authority.transpose()?,
            endpoints: new.endpoints,
            purpose: new.purpose,
            made: app.server.now().wall,
            proof,
        };
        let answer = describe_rule(&rule);
        keys(&app)?.add_rule(rule).await?;
        return Ok((StatusCode::CREATED, Json(answer)));
    }
    let is_made = new.key.is_none();
    let key = match &new.key {
        Some(digits) => Zeroizing::new(hex::decode(digits.trim()).ok_or_else(|| {
            let (least, most) = (KEY.start() * 2, KEY.end() * 2);
            ApiError::bad_request(format!("key must be {least} to {most} hexadecimal digits"))
        })?),
        None => random(MADE)?,
    };
    if let Some(oscore) = &new.oscore {
        let context = context(&new, oscore, key, app.server.now().wall)?;
        let mut answer = describe_context(&context);
        if is_made {
            answer["key"] = json!(hex::encode(&context.secret));
        }
        keys(&app)?.add_context(context).await?;
        return Ok((StatusCode::CREATED, Json(answer)));
    }
    let entry = Entry {
        identity: new.identity.unwrap_or_else(|| new.endpoints.clone()),
        endpoints: new.endpoints,
        purpose: new.purpose,
        origin: Origin::Given,
        made: app.server.now().wall,
        key,
    };
    let mut answer = describe(&entry);
    if is_made {
        answer["key"] = json!(hex::encode(&entry.key));
    }
    keys(&app)?.add(entry).await?;
    Ok((StatusCode::CREATED, Json(answer)))
}

fn random(len: usize) -> Result<Zeroizing<Vec<u8>>, ApiError> {
    let random = tinsmith_server::random().map_err(|error| ApiError::storage(&error))?;
    Ok(Zeroizing::new(random[..len.min(random.len())].to_vec()))
}

fn context(
    new: &New,
    oscore: &Oscore,
    secret: Zeroizing<Vec<u8>>,
    made: u64,
) -> Result<Context, ApiError> {
    let device = match digits("sender_id", oscore.sender_id.as_ref())? {
        Some(id) => id,
        None => random(MADE_ID)?.to_vec(),
    };
    let salt = match digits("master_salt", oscore.master_salt.as_ref())? {
        Some(salt) => salt,
        // A key that somebody has chosen goes with the salt that he has chosen.
        None if new.key.is_some() => Vec::new(),
        None => random(MADE_SALT)?.to_vec(),
    };
    let server = digits("recipient_id", oscore.recipient_id.as_ref())?;
    Ok(Context {
        endpoint: new.endpoints.clone(),
        purpose: new.purpose,
        origin: Origin::Given,
        made,
        device,
        server: server.unwrap_or_else(|| server_id(new.purpose).to_vec()),
        id_context: digits("id_context", oscore.id_context.as_ref())?,
        secret,
        salt,
    })
}

/// Removes what an identity comes in by, and ends what was begun with it.
pub(crate) async fn remove(
    State(app): State<App>,
    identity: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, ApiError> {
    let Path(identity) = identity?;
    let keys = keys(&app)?;
    if !keys.remove_rule(&identity).await? && !keys.remove_context(&identity).await? {
        keys.remove(&identity).await?;
    }
    Ok(Json(json!({ "removed": identity })))
}

pub(crate) fn keys(app: &App) -> Result<&Arc<Keys>, ApiError> {
    let keys = app.server.keys();
    keys.ok_or_else(|| ApiError::conflict("this server has no DTLS".to_owned()))
}

/// The digest of an authority.
fn authority(known: &[Authority], text: &str) -> Result<[u8; 32], ApiError> {
    let text = text.trim();
    let digest = hex::decode(text).and_then(|bytes| bytes.try_into().ok());
    if let Some(digest) = digest.or_else(|| authority_digest(text.as_bytes())) {
        return Ok(digest);
    }
    let is_it = |one: &&Authority| one.subject == text || one.common_name.as_deref() == Some(text);
    let mut found: Vec<_> = known.iter().filter(is_it).collect();
    found.sort_by_key(|one| one.digest);
    found.dedup_by_key(|one| one.digest);
    match found[..] {
        [one] => Ok(one.digest),
        [] => {
            let subjects: Vec<_> = known.iter().map(|one| &*one.subject).collect();
            Err(ApiError::bad_request(format!(
                "the server believes no authority of this subject; there are: {}",
                subjects.join("; ")
            )))
        }
        _ => Err(ApiError::bad_request(
            "several authorities have this subject; give the certificate or the digest of the one",
        )),
    }
}

fn describe_any(listed: &Listed) -> Value {
    match listed {
        Listed::Psk(entry) => describe(entry),
        Listed::Rule(rule) => describe_rule(rule),
        Listed::Oscore(context) => describe_context(context),
    }
}

fn describe_rule(rule: &Rule) -> Value {
    let mut told = json!({
        "identity": rule.identity(),
        "endpoints": rule.endpoints,
        "purpose": rule.purpose,
        "origin": Origin::Given,
        "made": rule.made,
    });
    match &rule.proof {
        Proof::RawKey(digest) => {
            told["kind"] = json!("raw-key");
            told["digest"] = json!(hex::encode(digest));
        }
        Proof::Certificate(name) => {
            told["kind"] = json!("certificate");
            told["name"] = json!(name);
            told["authority"] = json!(rule.authority.map(|digest| hex::encode(&digest)));
        }
    }
    told
}

fn describe_context(context: &Context) -> Value {
    json!({
        "kind": "oscore",
        "identity": context.identity(),
        "endpoints": context.endpoint,
        "purpose": context.purpose,
        "origin": context.origin,
        "made": context.made,
        "oscore": {
            "sender_id": hex::encode(&context.device),
            "recipient_id": hex::encode(&context.server),
            "id_context": context.id_context.as_ref().map(|id| hex::encode(id)),
            "master_salt": hex::encode(&context.salt),
        },
    })
}

fn describe(entry: &Entry) -> Value {
    json!({
        "kind": "psk",
        "identity": entry.identity,
        "endpoints": entry.endpoints,
        "purpose": entry.purpose,
        "origin": entry.origin,
        "made": entry.made,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_named_in_several_ways() {
        let one = |common: &str, more: &str, digest| Authority {
            subject: format!("CN={common}{more}"),
            common_name: Some(common.to_owned()),
            digest: [digest; 32],
        };
        let known = [
            one("Red Root", ", O=Red", 1),
            one("Blue Root", ", O=Blue", 2),
            one("Twice", "", 3),
            one("Renewed", "", 6),
            one("Twice", "", 4),
            one("Renewed", "", 6),
        ];
        for (text, expected) in [
            ("CN=Red Root, O=Red", Some(1)),
            ("Blue Root", Some(2)),
            ("  Blue Root\n", Some(2)),
            (&"05".repeat(32), Some(5)),
            ("Renewed", Some(6)),
            ("Root", None),
            ("Blue", None),
            ("Twice", None),
            ("", None),
            (&"05".repeat(31), None),
        ] {
            let found = authority(&known, text).ok();
            assert_eq!(found, expected.map(|digest| [digest; 32]), "{text}");
        }
    }
}
