//! What a device gets at its bootstrap, and whether it gets anything.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use lwm2m_objects::ids::{
    COMPUTE_PLATFORM, LWM2M_OSCORE, LWM2M_SECURITY, LWM2M_SERVER, compute_platform, lwm2m_security,
    lwm2m_server,
};
use lwm2m_objects::{ContentFormat, OwnedValue, Path};
use tinsmith_coap::{Code, Message};
use tinsmith_store::Op;

use super::keying::{Keying, Protection};
use super::step::BootstrapStep;
use crate::access::{self, Access};
use crate::registration::{Link, Parameters, RegisterError};
use crate::rule::{BootstrapConfig, Rule};
use crate::shared::{CRITICAL, Context, Source};
use crate::types::{Endpoint, Event};
use crate::{Identity, Role};

/// The scheme of servers with DTLS.
const SECURE: &str = "coaps://";

/// Accounts that are looked at; a device with more loses those that are not.
const MAX_ACCOUNTS: usize = 64;

/// For one device.
pub(super) struct Account {
    pub(super) endpoint: Endpoint,
    pub(super) format: ContentFormat,
    /// If the device refuses the first.
    pub(super) other_format: Option<ContentFormat>,
    rule: Rule,
    protection: Protection,
    keying: Keying,
    /// Instances of Security, with their Short Server IDs, before anything is deleted.
    accounts: Vec<(u16, Option<u16>)>,
    /// Instances of OSCORE, before anything is deleted.
    contexts: Vec<u16>,
    /// The public keys whose packages it shall take.
    anchors: Arc<[Vec<u8>]>,
    has_platform: bool,
}

/// What a step sends.
pub(super) struct Request {
    pub(super) code: Code,
    pub(super) path: Path,
    /// Of a write.
    pub(super) values: Option<Vec<(Path, OwnedValue)>>,
}

impl Account {
    /// Of the sender of a Bootstrap-Request, or the answer that refuses it.
    pub(super) fn of(
        cx: &mut Context<'_>,
        config: &BootstrapConfig,
        access: Option<&dyn Access>,
        from: Source<'_>,
        request: &Message<'_>,
    ) -> Result<Self, (Code, String)> {
        let mut path = request.uri_path();
        if (path.next(), path.next()) != (Some(b"bs".as_slice()), None) {
            let why = "this is a bootstrap server: POST /bs";
            return Err((Code::NOT_FOUND, why.into()));
        }
        if request.code() != Code::POST {
            return Err((Code::METHOD_NOT_ALLOWED, String::new()));
        }
        if let Some(number) = request.unrecognised_critical(&CRITICAL) {
            return Err((Code::BAD_OPTION, format!("option {}", number.0)));
        }
        let bad = |e: RegisterError| (Code::BAD_REQUEST, e.to_string());
        let parameters = Parameters::parse(request.uri_query()).map_err(bad)?;
        let name = access::name(access, from.identity, Role::Bootstrap, request);
        let endpoint = name
            .as_deref()
            .ok_or_else(|| bad(RegisterError::NoEndpoint))?;
        if access.is_some_and(|access| !access.may_bootstrap(from.identity, endpoint)) {
            cx.event(Event::Impostor {
                endpoint: endpoint.into(),
                identity: from.identity.clone(),
                peer: from.peer,
                role: Role::Bootstrap,
            });
            let refused = RegisterError::Identity;
            return Err((refused.code(), refused.to_string()));
        }
        let is_secure = from.identity.is_authenticated();
        let rule = config.rule(endpoint, from.identity).cloned();
        let mut rule = rule.ok_or((Code::BAD_REQUEST, "unknown endpoint".to_owned()))?;
        if rule.server_uri.is_empty() {
            let own = from.management.ok_or_else(|| {
                let why = "the management listener can't be reached from this address";
                (Code::SERVICE_UNAVAILABLE, why.to_owned())
            })?;
            let has_oscore = rule.oscore || matches!(from.identity, Identity::Oscore(_));
            rule.server_uri = match (is_secure, has_oscore) {
                (_, false) => uri(own, is_secure),
                // Where it bootstraps may be beside a listener with DTLS.
                (_, true) => {
                    let port = config.coap_port.unwrap_or(own.port());
                    uri(SocketAddr::new(own.ip(), port), false)
                }
            };
        }
        let protection = protection(&rule, from.identity);
        if protection != Protection::Nothing && !is_secure {
            let why = "keys are given with DTLS or OSCORE only";
            cx.event(Event::Bootstrapped {
                endpoint: endpoint.into(),
                error: Some(why.into()),
            });
            return Err((Code::FORBIDDEN, why.into()));
        }
        let (format, other_format) = match parameters.formats.map(ContentFormat) {
            None | Some(ContentFormat::TLV) => {
                (ContentFormat::TLV, Some(ContentFormat::SENML_CBOR))
            }
            Some(ContentFormat::SENML_CBOR) => {
                (ContentFormat::SENML_CBOR, Some(ContentFormat::TLV))
            }
            Some(ContentFormat::SENML_JSON) => (ContentFormat::SENML_JSON, None),
            Some(_) => {
                let why = "pct: 112, 110, 11542";
                return Err((Code::UNSUPPORTED_CONTENT_FORMAT, why.into()));
            }
        };
        Ok(Account {
            endpoint: endpoint.into(),
            format,
            other_format,
            rule,
            protection,
            keying: Keying::Nothing,
            accounts: Vec::new(),
            contexts: Vec::new(),
            anchors: config.trust_anchors.get(),
            has_platform: false,
        })
    }

    /// Gets the keys that its server needs; what is to be stored before they may be sent.
    pub(super) fn issue(
        &mut self,
        access: Option<&dyn Access>,
        wall: u64,
        random: [u8; 32],
    ) -> Result<Vec<Op>, (Code, String)> {
        let made = (wall, random);
        let (keying, ops) = Keying::issue(self.protection, access, &self.endpoint, made)?;
        self.keying = keying;
        Ok(ops)
    }

    /// What a Bootstrap-Discover of object 0 has found (LwM2M TS 1.1 §6.1.7.3): the bootstrap
    /// account is the one without Short Server ID.
    pub(super) fn discovered(&mut self, payload: &[u8]) {
        let text = std::str::from_utf8(payload).unwrap_or_default();
        let accounts = Link::all(text).filter_map(|link| {
            let path = Path::from_segments(link.segments().map(str::as_bytes)).ok()?;
            let instance = path.instance_id().filter(|_| path.depth() == 2)?;
            let server = link.attribute("ssid").and_then(|id| id.parse().ok());
            (path.object_id() == Some(LWM2M_SECURITY)).then_some((instance, server))
        });
        self.accounts = accounts.take(MAX_ACCOUNTS).collect();
    }

    /// What a Bootstrap-Discover of object 21 has found. Which of its instances is that of the
    /// bootstrap account, and stays, it does not say.
    pub(super) fn found_contexts(&mut self, payload: &[u8]) {
        let text = std::str::from_utf8(payload).unwrap_or_default();
        let contexts = Link::all(text).filter_map(|link| {
            let path = Path::from_segments(link.segments().map(str::as_bytes)).ok()?;
            let instance = path.instance_id().filter(|_| path.depth() == 2)?;
            (path.object_id() == Some(LWM2M_OSCORE)).then_some(instance)
        });
        self.contexts = contexts.take(MAX_ACCOUNTS).collect();
    }

    /// The instance of OSCORE to write: one that was not there.
    fn context_instance(&self) -> u16 {
        let wanted = self.security_instance();
        let mut ids = std::iter::once(wanted).chain(0..u16::MAX);
        ids.find(|id| !self.contexts.contains(id)).unwrap_or(wanted)
    }

    /// What a Bootstrap-Discover of object 27300 has found.
    pub(super) fn found_platform(&mut self, payload: &[u8]) {
        let text = std::str::from_utf8(payload).unwrap_or_default();
        let platform = Path::instance(COMPUTE_PLATFORM, 0);
        self.has_platform = Link::all(text)
            .any(|link| Path::from_segments(link.segments().map(str::as_bytes)) == Ok(platform));
    }

    /// What follows a step that went well.
    pub(super) fn after(&self, step: BootstrapStep) -> Option<BootstrapStep> {
        match step {
            BootstrapStep::Discover if !self.keying.is_oscore() => Some(BootstrapStep::Delete),
            BootstrapStep::Delete if !self.keying.is_oscore() => Some(BootstrapStep::Security),
            BootstrapStep::Server if self.anchors.is_empty() => Some(BootstrapStep::Finish),
            BootstrapStep::Platform if !self.has_platform => Some(BootstrapStep::Finish),
            step => step.next(),
        }
    }

    /// The instance of Security to write: never that of the bootstrap account, nor one of another
    /// server that is not deleted.
    fn security_instance(&self) -> u16 {
        let delete = self.rule.delete;
        let all_go = delete == Path::ROOT || delete == Path::object(LWM2M_SECURITY);
        let ours = Some(self.rule.short_server_id);
        if !all_go && let Some((id, _)) = self.accounts.iter().find(|(_, server)| *server == ours) {
            return *id;
        }
        let is_taken = |id: u16| {
            let mut accounts = self.accounts.iter();
            accounts.any(|(taken, server)| *taken == id && (server.is_none() || !all_go))
        };
        let wanted = self.rule.security_instance;
        let mut ids = std::iter::once(wanted).chain(0..u16::MAX);
        ids.find(|id| !is_taken(*id)).unwrap_or(wanted)
    }

    /// Method, path and values of a step (LwM2M TS 1.1 §6.1.7).
    pub(super) fn message(&self, step: BootstrapStep) -> Request {
        let (code, path, values) = match step {
            BootstrapStep::Discover => (Code::GET, Path::object(LWM2M_SECURITY), None),
            BootstrapStep::Contexts => (Code::GET, Path::object(LWM2M_OSCORE), None),
            BootstrapStep::Delete => (Code::DELETE, self.rule.delete, None),
            BootstrapStep::Finish => (Code::POST, Path::ROOT, None),
            BootstrapStep::Platform => (Code::GET, Path::object(COMPUTE_PLATFORM), None),
            BootstrapStep::TrustAnchors => {
                let path = Path::instance(COMPUTE_PLATFORM, 0);
                (Code::PUT, path, Some(self.trust_anchors()))
            }
            BootstrapStep::Oscore => {
                let instance = self.context_instance();
                let path = Path::instance(LWM2M_OSCORE, instance);
                (Code::PUT, path, Some(self.keying.oscore(instance)))
            }
            BootstrapStep::Security => {
                let path = Path::instance(LWM2M_SECURITY, self.security_instance());
                (Code::PUT, path, Some(self.security()))
            }
            BootstrapStep::Server => {
                let path = Path::instance(LWM2M_SERVER, self.rule.server_instance);
                (Code::PUT, path, Some(self.server()))
            }
        };
        Request { code, path, values }
    }

    fn security(&self) -> Vec<(Path, OwnedValue)> {
        use lwm2m_security as id;
        let nothing = || OwnedValue::Opaque(Vec::new());
        let (mode, identity, secret) = self.keying.security();
        let link = self.keying.link(self.context_instance());
        let link = link.map(|link| (id::OSCORE_SECURITY_MODE, link));
        let server_id = OwnedValue::Integer(self.rule.short_server_id.into());
        let values = [
            (
                id::LWM2M_SERVER_URI,
                OwnedValue::String(self.rule.server_uri.clone()),
            ),
            (id::BOOTSTRAP_SERVER, OwnedValue::Boolean(false)),
            (id::SECURITY_MODE, mode),
            (id::PUBLIC_KEY_OR_IDENTITY, identity),
            (id::SERVER_PUBLIC_KEY, nothing()),
            (id::SECRET_KEY, secret),
            (id::SHORT_SERVER_ID, server_id),
        ];
        let instance = self.security_instance();
        let at = |(id, value)| (Path::resource(LWM2M_SECURITY, instance, id), value);
        values.into_iter().chain(link).map(at).collect()
    }

    fn trust_anchors(&self) -> Vec<(Path, OwnedValue)> {
        let id = compute_platform::TRUST_ANCHOR;
        let at = |n| Path::resource_instance(COMPUTE_PLATFORM, 0, id, n);
        let anchors = self.anchors.iter();
        let values = (0..).zip(anchors);
        values
            .map(|(n, anchor)| (at(n), OwnedValue::Opaque(anchor.clone())))
            .collect()
    }

    fn server(&self) -> Vec<(Path, OwnedValue)> {
        use lwm2m_server as id;
        let values = [
            (
                id::SHORT_SERVER_ID,
                OwnedValue::Integer(self.rule.short_server_id.into()),
            ),
            (id::LIFETIME, OwnedValue::Integer(self.rule.lifetime.into())),
            (
                id::NOTIFICATION_STORING_WHEN_DISABLED_OR_OFFLINE,
                OwnedValue::Boolean(true),
            ),
            (id::BINDING, OwnedValue::String(self.rule.binding.clone())),
        ];
        let instance = self.rule.server_instance;
        let at = |(id, value)| (Path::resource(LWM2M_SERVER, instance, id), value);
        values.into_iter().map(at).collect()
    }
}

/// What a device needs for the server of its rule.
fn protection(rule: &Rule, identity: &Identity) -> Protection {
    let has_oscore = rule.oscore || matches!(identity, Identity::Oscore(_));
    match rule.server_uri.starts_with(SECURE) {
        true => Protection::Dtls,
        false if has_oscore => Protection::Oscore,
        false => Protection::Nothing,
    }
}

/// `coap://` or `coaps://` and the address; without the zone of a link-local one, which means something on this
/// machine only (RFC 6874 §1).
fn uri(own: SocketAddr, is_secure: bool) -> String {
    let port = own.port();
    let scheme = if is_secure { SECURE } else { "coap://" };
    match own.ip().to_canonical() {
        IpAddr::V4(ip) => format!("{scheme}{ip}:{port}"),
        IpAddr::V6(ip) => format!("{scheme}[{ip}]:{port}"),
    }
}
