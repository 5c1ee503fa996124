//! `/api/v1/devices`.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use lwm2m_objects::capability::Capability;
use serde::Deserialize;
use serde_json::{Value, json};
use tracing::info;

use crate::{ApiError, App};
use tinsmith_build::compare;
use tinsmith_digest::encode_hex;
use tinsmith_inference::Session;
use tinsmith_lwm2m::Identity;
use tinsmith_server::{Known, MAX_DEVICES, MAX_ENTRIES};
use tinsmith_update::slot::SlotState;
use tinsmith_update::{Ask, Command, DeviceRecord, Entry, Reply, Status, Summary};

/// Seconds a device waits for a commit before it rolls back, unless told otherwise.
const TRIAL: u32 = 600;

/// Which part of the list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Part {
    /// At most so many devices.
    limit: Option<usize>,
    /// Those behind this name.
    after: Option<String>,
}

/// All devices, those registered and those a model is wanted for, in the order of their names; or
/// a page of them.
pub(crate) async fn list(
    State(app): State<App>,
    part: Result<Query<Part>, QueryRejection>,
) -> Result<Json<Value>, ApiError> {
    let Query(part) = part?;
    if let Some(limit) = part.limit {
        if !(1..=MAX_DEVICES).contains(&limit) {
            return Err(ApiError::bad_request(format!(
                "limit must be 1 to {MAX_DEVICES}"
            )));
        }
        let page = app.server.devices(part.after.as_deref(), limit).await?;
        let devices: Vec<Value> = page.devices.iter().map(brief).collect();
        let next = page.next.as_deref();
        return Ok(Json(json!({ "devices": devices, "next": next })));
    }
    let mut devices = Vec::new();
    let mut after = part.after;
    loop {
        let page = app.server.devices(after.as_deref(), MAX_DEVICES).await?;
        devices.extend(page.devices.iter().map(brief));
        match page.next {
            Some(next) => after = Some(next.to_string()),
            None => return Ok(Json(json!({ "devices": devices }))),
        }
    }
}

/// One device with everything that is known of it.
pub(crate) async fn show(
    State(app): State<App>,
    endpoint: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, ApiError> {
    let Path(endpoint) = endpoint?;
    let known = app.server.device(&endpoint).await?;
    let known = known.ok_or_else(|| ApiError::unknown_device(&endpoint))?;
    let mut value = brief(&known);
    let Known {
        registration,
        status,
        ..
    } = known;
    if let Some(registration) = &registration {
        value["registration"] = json!({
            "location": format!("/rd/{}", registration.location),
            "lifetime": registration.lifetime,
            "version": registration.announced.version,
            "binding": registration.announced.binding,
            "registered": registration.registered,
            "expires": registration.expires,
            "formats": registration.announced.formats,
            "parameters": registration.announced.parameters,
            "objects": registration
                .announced
                .objects
                .iter()
                .map(|(path, version)| json!({ "path": path.to_string(), "version": version }))
                .collect::<Vec<_>>(),
        });
    }
    if let Some(status) = &status {
        let record = &status.record;
        value["capability_digest"] = json!(record.capability.as_ref().map(|d| encode_hex(d)));
        value["capability"] = json!(status.capability.as_deref());
        value["slots"] = json!(record.slots);
        value["attempt"] = json!(record.attempt);
        value["timeline"] = json!(record.timeline);
    }
    Ok(Json(value))
}

/// What happened to a device: its history and its timeline, page by page.
pub(crate) async fn history(
    State(app): State<App>,
    endpoint: Result<Path<String>, PathRejection>,
    part: Result<Query<Entries>, QueryRejection>,
) -> Result<Json<Value>, ApiError> {
    let Path(endpoint) = endpoint?;
    let Query(part) = part?;
    let limit = part.limit.unwrap_or(100);
    if !(1..=MAX_ENTRIES).contains(&limit) {
        let text = format!("limit must be 1 to {MAX_ENTRIES}");
        return Err(ApiError::bad_request(text));
    }
    let found = app.server.history(&endpoint, part.after, limit).await?;
    let found = found.ok_or_else(|| ApiError::unknown_device(&endpoint))?;
    let entry = |(number, entry): (u64, Entry)| {
        let Entry { at, text } = entry;
        json!({ "number": number, "at": at, "text": text })
    };
    let entries: Vec<Value> = found.entries.into_iter().map(entry).collect();
    Ok(Json(json!({ "entries": entries, "next": found.next })))
}

/// Which part of the history.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entries {
    /// At most so many entries.
    limit: Option<usize>,
    /// Those behind this number.
    after: Option<u64>,
}

/// The model a device shall run.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Want {
    model: String,
    /// The newest if there is none.
    version: Option<String>,
    trial_s: Option<u32>,
    /// The device may be one that nothing is known of yet.
    #[serde(default)]
    expect: bool,
}

/// Sets the model a device shall run; the rest follows by itself.
pub(crate) async fn want(
    State(app): State<App>,
    endpoint: Result<Path<String>, PathRejection>,
    body: Result<Json<Want>, JsonRejection>,
) -> Result<Json<Value>, ApiError> {
    let Path(endpoint) = endpoint?;
    let Json(body) = body?;
    let _turn = app.zoo_turn.read().await;
    let model = app.zoo.find_version(&body.model, body.version.as_deref())?;
    check_endpoint(&endpoint)?;
    let known = app.server.device(&endpoint).await?;
    if !body.expect && known.is_none() {
        return Err(ApiError::unexpected_device(&endpoint));
    }
    let (name, version) = (&model.card.name, &model.card.version);
    let newer = known.and_then(|known| newer(&known.status?.record, name, version));
    let command = Command::Want {
        model: model.card.name.clone(),
        version: model.card.version.clone(),
        source: model.source,
        trial_s: body.trial_s.unwrap_or(TRIAL),
    };
    let Json(mut answer) = decide(&app, &endpoint, command).await?;
    if let Some(from) = newer {
        info!(%endpoint, model = name, from, to = version, "a downgrade was decided");
        answer["downgrade"] = json!({ "from": from, "to": version });
    }
    Ok(Json(answer))
}

/// A newer version of a model that the device runs, or else is to run.
fn newer(record: &DeviceRecord, name: &str, version: &str) -> Option<String> {
    let active = record.slots.iter().filter(|s| s.state == SlotState::Active);
    let runs = active.map(|slot| (&slot.model, &slot.version));
    let wanted = record.desired.iter().map(|d| (&d.model, &d.version));
    let (_, from) = runs.chain(wanted).find(|(of, _)| *of == name)?;
    compare(from, version).is_gt().then(|| from.clone())
}

/// No model is wanted any more.
pub(crate) async fn forget(
    State(app): State<App>,
    endpoint: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, ApiError> {
    let Path(endpoint) = endpoint?;
    known(&app, &endpoint).await?;
    decide(&app, &endpoint, Command::Forget).await
}

/// Tries again after a failure.
pub(crate) async fn retry(
    State(app): State<App>,
    endpoint: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, ApiError> {
    let Path(endpoint) = endpoint?;
    known(&app, &endpoint).await?;
    decide(&app, &endpoint, Command::Retry).await
}

/// The device shall run what it ran before.
pub(crate) async fn rollback(
    State(app): State<App>,
    endpoint: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, ApiError> {
    let Path(endpoint) = endpoint?;
    known(&app, &endpoint).await?;
    decide(&app, &endpoint, Command::Rollback).await
}

/// Forgets everything of a device.
pub(crate) async fn delete(
    State(app): State<App>,
    endpoint: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, ApiError> {
    let Path(endpoint) = endpoint?;
    if !app.server.delete(&endpoint).await? {
        return Err(ApiError::unknown_device(&endpoint));
    }
    info!(%endpoint, "deleted");
    Ok(Json(json!({ "removed": endpoint })))
}

/// A sample.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Infer {
    input: Vec<f32>,
}

/// Runs the device's model on a sample: real numbers in the order of the ONNX input.
pub(crate) async fn infer(
    State(app): State<App>,
    endpoint: Result<Path<String>, PathRejection>,
    body: Result<Json<Infer>, JsonRejection>,
) -> Result<Json<Value>, ApiError> {
    let Path(endpoint) = endpoint?;
    let Json(body) = body?;
    let mut session = Session::open(&app.server, &endpoint).await?;
    let answer = session.run(&body.input).await?;
    Ok(Json(json!(answer)))
}

async fn decide(app: &App, endpoint: &str, command: Command) -> Result<Json<Value>, ApiError> {
    match app.server.ask(endpoint, Ask::Decide(command)).await? {
        Reply::Unreadable(reason) => return Err(ApiError::unreadable(endpoint, &reason)),
        Reply::NoPrevious => {
            let text = format!("it is not known what '{endpoint}' ran before");
            return Err(ApiError::conflict(text));
        }
        Reply::Stored | Reply::Status(_) => {}
    }
    // Of a device that was only expected nothing is left when nothing is wanted of it.
    let nothing = || Known {
        endpoint: endpoint.into(),
        registration: None,
        presence: None,
        identity: None,
        status: None,
        unreadable: None,
    };
    let known = app.server.device(endpoint).await?;
    Ok(Json(brief(&known.unwrap_or_else(nothing))))
}

async fn known(app: &App, endpoint: &str) -> Result<(), ApiError> {
    let known = app.server.device(endpoint).await?;
    match known.and_then(|known| known.status) {
        Some(_) => Ok(()),
        None => Err(ApiError::unknown_device(endpoint)),
    }
}

fn check_endpoint(endpoint: &str) -> Result<(), ApiError> {
    if endpoint.is_empty() || endpoint.len() > 255 {
        return Err(ApiError::bad_request("an endpoint name has 1 to 255 bytes"));
    }
    if endpoint.chars().any(char::is_control) {
        let text = "an endpoint name has no control characters";
        return Err(ApiError::bad_request(text));
    }
    Ok(())
}

/// Whose packages a device takes, if that is known.
fn trust(status: &Status) -> Option<&'static str> {
    let verifies = |c: &Arc<Capability>| !c.platform.signature_algorithms.is_empty();
    match &status.trusted {
        Some(ids) if !ids.is_empty() => Some("anchored"),
        Some(_) => Some("open"),
        None => (!verifies(status.capability.as_ref()?)).then_some("open"),
    }
}

/// How a device comes.
fn security(identity: &Identity) -> &'static str {
    match identity {
        Identity::None => "none",
        Identity::Psk(_) => "psk",
        Identity::RawKey(_) => "raw-key",
        Identity::Certificate(_) => "certificate",
        Identity::Oscore(_) => "oscore",
        _ => "other",
    }
}

fn brief(known: &Known) -> Value {
    let Known {
        endpoint,
        registration,
        presence,
        identity,
        status,
        unreadable,
    } = known;
    let registration = registration.as_deref();
    let reachable = presence.is_some_and(|presence| presence.reachable);
    let status = status.as_ref();
    let record = status.map(|status| &status.record);
    let mut value = json!({
        "endpoint": &**endpoint,
        "online": registration.is_some() && reachable,
        "registered": registration.is_some(),
        "reachable": registration.map(|_| reachable),
        "address": registration.map(|r| &r.address),
        "security": identity.as_ref().map(security),
        "identity": identity.as_ref().map(ToString::to_string),
        "seen": presence.map(|presence| presence.seen),
        "platform": status
            .and_then(|s| s.capability.as_ref())
            .map(|capability| &capability.platform.platform_name),
        "desired": record.and_then(|r| r.desired.as_ref()),
        "state": status.map(|s| s.summary),
        "detail": status.map(|s| &s.detail),
        "progress": status.and_then(|s| s.progress),
        "last": record.and_then(|r| r.last.as_ref()),
        "trust": status.and_then(trust),
        "trust_anchors": status
            .and_then(|s| s.trusted.as_ref())
            .map(|ids| ids.iter().map(|id| encode_hex(id)).collect::<Vec<_>>()),
    });
    if let Some(unreadable) = unreadable {
        value["unreadable"] = json!(unreadable);
        if status.is_none() {
            value["state"] = json!(Summary::Unreadable);
            value["detail"] = json!(unreadable);
        }
    } else if status.is_none() {
        value["state"] = json!(Summary::Idle);
        value["detail"] = json!("no model is wanted");
    }
    value
}
