//! Who comes in, by which key: a token, or the session of a browser.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, COOKIE, ORIGIN};
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::Response;
use tinsmith_access::{Audit, Limit, Rates, Role, Sessions, Source, Tokens, audit};
use tinsmith_digest::Digest;
use tinsmith_server::ServerHandle;
use tinsmith_store::{Store, StoreError};

use crate::ApiError;
use crate::guard::SEC_FETCH_SITE;

/// Where links lead.
pub(crate) const LOGIN: &str = "/login";
/// Sources and tokens whose rates are remembered.
const REMEMBERED: usize = 4096;

/// Links that a token makes in a second, and at once: each session is in the audit log, from which
/// a viewer must not be able to push what others did.
const LINKS: f64 = 0.1;
const LINKS_AT_ONCE: u32 = 10;

/// What is chosen about the doors.
#[derive(Clone, Debug)]
pub struct Choices {
    /// Requests in a second of one token or session, or of one source that shows none; twice as
    /// many at once.
    pub rate: u32,
    /// Wrong tokens in a minute of one source; as many at once.
    pub wrong: u32,
    /// Whether `/metrics` asks for no token.
    pub open_metrics: bool,
    /// Entries of the audit log that are kept.
    pub audit: u64,
}

impl Default for Choices {
    fn default() -> Self {
        Choices {
            rate: 500,
            wrong: 30,
            open_metrics: false,
            audit: audit::KEPT,
        }
    }
}

/// Keys, who uses them how often, and what was done with them.
pub struct Doors {
    /// The tokens.
    pub tokens: Tokens,
    /// What was changed.
    pub audit: Audit,
    sessions: Mutex<Sessions>,
    requests: Mutex<Rates<Asker>>,
    wrong: Mutex<Rates<Source>>,
    links: Mutex<Rates<Digest>>,
    pub(crate) open_metrics: bool,
}

/// Whose requests are counted together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Asker {
    Token(Digest),
    Stranger(Source),
}

impl Doors {
    /// Reads tokens and audit log.
    ///
    /// # Errors
    /// The store failed.
    pub async fn open(store: &Arc<dyn Store>, choices: &Choices) -> Result<Self, StoreError> {
        let (rate, wrong) = (choices.rate.max(1), choices.wrong.max(1));
        let requests = Limit::new(f64::from(rate), rate.saturating_mul(2));
        let wrong = Limit::new(f64::from(wrong) / 60.0, wrong);
        Ok(Doors {
            tokens: Tokens::open(store.clone()).await?,
            audit: Audit::open(store.clone(), choices.audit).await?,
            sessions: Mutex::default(),
            requests: Mutex::new(Rates::new(requests, REMEMBERED)),
            wrong: Mutex::new(Rates::new(wrong, REMEMBERED)),
            links: Mutex::new(Rates::new(Limit::new(LINKS, LINKS_AT_ONCE), REMEMBERED)),
            open_metrics: choices.open_metrics,
        })
    }

    pub(crate) fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Path and code of a link that lets a browser in once, as who holds a token.
    pub(crate) fn link(&self, mono: u64, token: Digest, random: &[u8; 32]) -> String {
        let code = self.sessions().invite(mono, token, random);
        format!("{LOGIN}?code={code}")
    }

    /// The same for who asks by HTTP, and may not do so often.
    pub(crate) fn ask_link(
        &self,
        mono: u64,
        token: Digest,
        random: &[u8; 32],
    ) -> Result<String, ApiError> {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = links.take(mono, &token);
        taken.map_err(|wait| ApiError::too_many(wait.seconds))?;
        Ok(self.link(mono, token, random))
    }

    /// Somebody showed a key that opens nothing.
    pub(crate) fn refuse(&self, mono: u64, peer: SocketAddr, why: &str) -> ApiError {
        let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        match wrong.take(mono, &Source::from(peer.ip())) {
            Ok(()) => {
                tracing::info!(%peer, "a key that opens nothing was shown");
                ApiError::unauthorized(why)
            }
            Err(wait) => ApiError::too_many(wait.seconds),
        }
    }

    fn count(&self, mono: u64, asker: &Asker) -> Result<(), ApiError> {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = requests.take(mono, asker);
        taken.map_err(|wait| ApiError::too_many(wait.seconds))
    }
}

/// The connection of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Connection {
    pub(crate) peer: SocketAddr,
    /// Whether it is encrypted.
    pub(crate) tls: bool,
}

/// Who a request is from.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) token: Digest,
    /// The session's cookie; none if the token itself was shown.
    pub(crate) cookie: Option<String>,
}

/// What [`enter`] needs.
#[derive(Clone)]
pub(crate) struct Entrance {
    pub(crate) doors: Arc<Doors>,
    pub(crate) server: ServerHandle,
    /// Name of the cookie.
    pub(crate) cookie: Arc<str>,
    /// Paths that ask for no key.
    pub(crate) open: Arc<[&'static str]>,
}

/// Finds out who a request is from, and lets nobody without a key further than to what is open.
pub(crate) async fn enter(
    State(entrance): State<Entrance>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let Entrance {
        doors,
        server,
        cookie,
        open,
    } = entrance;
    let now = server.now();
    let peer = request.extensions().get::<Connection>();
    let peer = peer.map_or_else(|| ([0, 0, 0, 0], 0).into(), |connection| connection.peer);
    let headers = request.headers();
    let caller = if let Some(shown) = headers.get(AUTHORIZATION) {
        let text = shown.to_str().ok().and_then(bearer);
        let found = text.and_then(|text| doors.tokens.open_with(now.wall, text));
        let Some((token, found)) = found else {
            let why = "this token is not known, was removed or has expired";
            return Err(doors.refuse(now.mono, peer, why));
        };
        Some(Caller {
            name: found.name,
            role: found.role,
            token,
            cookie: None,
        })
    } else if let Some(value) = session(headers, &cookie)
        && own_page(request.method(), headers)?
    {
        let token = doors.sessions().of(now.mono, value);
        let found = token.and_then(|token| Some((token, doors.tokens.of(now.wall, &token)?)));
        found.map(|(token, found)| Caller {
            name: found.name,
            role: found.role,
            token,
            cookie: Some(value.to_owned()),
        })
    } else {
        None
    };
    let asker = match &caller {
        Some(caller) => Asker::Token(caller.token),
        None => Asker::Stranger(Source::from(peer.ip())),
    };
    doors.count(now.mono, &asker)?;
    match caller {
        Some(caller) => drop(request.extensions_mut().insert(caller)),
        None if open.contains(&request.uri().path()) => {}
        None => {
            return Err(ApiError::unauthorized(
                "this needs a token, in the header 'Authorization: Bearer TOKEN'",
            ));
        }
    }
    Ok(next.run(request).await)
}

fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The value of a cookie.
fn session<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let all = headers.get_all(COOKIE).into_iter();
    let mut pairs = all
        .filter_map(|value| value.to_str().ok())
        .flat_map(|v| v.split(';'));
    pairs.find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
}

/// Whether a browser says that a page of this server asks; its session counts only then. The guard
/// has compared what it says with our names.
///
/// # Errors
/// Something would be changed, and the browser does not say who asks.
fn own_page(method: &Method, headers: &HeaderMap) -> Result<bool, ApiError> {
    match headers.get(SEC_FETCH_SITE).map(|site| site.as_bytes()) {
        Some(b"same-origin") => Ok(true),
        Some(b"none") => Ok(method.is_safe()),
        Some(_) => Ok(false),
        None if method.is_safe() || headers.contains_key(ORIGIN) => Ok(true),
        None => Err(ApiError::foreign()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn a_cookie_is_found_by_its_name() {
        let of = |text| headers(&[("cookie", text)]);
        for text in [
            "tinsmith_1=ab",
            "a=b; tinsmith_1=ab",
            "tinsmith_12=no;tinsmith_1=ab;c",
        ] {
            assert_eq!(session(&of(text), "tinsmith_1"), Some("ab"), "{text}");
        }
        for text in ["", "tinsmith_12=ab", "tinsmith_1", "xtinsmith_1=ab"] {
            assert_eq!(session(&of(text), "tinsmith_1"), None, "{text}");
        }
    }

    #[test]
    fn a_bearer_is_one() {
        for text in ["Bearer abc", "bearer  abc ", "BEARER abc"] {
            assert_eq!(bearer(text), Some("abc"), "{text}");
        }
        for text in ["", "Bearer", "Basic abc", "abc"] {
            assert_eq!(bearer(text), None, "{text}");
        }
    }

    #[test]
    fn a_session_is_for_pages_of_this_server() {
        let check = |method: &Method, pairs: &[(&'static str, &str)]| {
            own_page(method, &headers(pairs)).map_err(|error| error.status().as_u16())
        };
        let site = |value| [("sec-fetch-site", value)];
        for method in [Method::GET, Method::HEAD] {
            assert_eq!(check(&method, &[]), Ok(true));
            assert_eq!(check(&method, &site("none")), Ok(true));
            assert_eq!(check(&method, &site("same-origin")), Ok(true));
            assert_eq!(check(&method, &site("same-site")), Ok(false));
            assert_eq!(check(&method, &site("cross-site")), Ok(false));
        }
        for method in [Method::POST, Method::PUT, Method::DELETE] {
            assert_eq!(check(&method, &[]), Err(403));
            assert_eq!(check(&method, &site("none")), Ok(false));
            assert_eq!(check(&method, &site("same-origin")), Ok(true));
            assert_eq!(check(&method, &site("same-site")), Ok(false));
            // What the guard has compared.
            assert_eq!(check(&method, &[("origin", "http://localhost")]), Ok(true));
        }
    }
}
