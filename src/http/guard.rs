//! Which requests come from a browser that somebody else sent.
//!
//! A page of another site must not be able to speak for the operator: not by a name of its own that
//! leads here (DNS rebinding), nor by a request across sites.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderName, Method, Uri};
use axum::middleware::Next;
use axum::response::Response;

use crate::ApiError;

/// Set by browsers: how the page that asks is related to the server.
pub(crate) const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The names under which this server is asked.
#[derive(Clone, Debug)]
pub(crate) struct Hosts {
    address: IpAddr,
    names: Arc<[String]>,
}

impl Hosts {
    /// Of a server that listens on an address, and has names besides those of loopback.
    pub(crate) fn new(address: SocketAddr, names: &[String]) -> Self {
        let address = address.ip();
        let names = names.iter().map(|name| plain(name)).collect();
        Hosts { address, names }
    }

    fn is_named(&self, host: &str) -> bool {
        self.names.contains(&plain(host))
    }

    fn is_ours(&self, host: &str) -> bool {
        let host = plain(host);
        let number = host.trim_start_matches('[').trim_end_matches(']');
        match number.parse::<IpAddr>() {
            Ok(address) => {
                // Who listens on all addresses has more of them than it can know.
                let any = self.address.is_unspecified();
                any || address.is_loopback() || address == self.address || self.is_named(&host)
            }
            Err(_) => host == "localhost" || self.is_named(&host),
        }
    }

    fn check(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), ApiError> {
        let header = headers.get(HOST).map(|value| value.to_str());
        let host = match (uri.authority(), header) {
            (Some(authority), _) => authority.as_str(),
            (None, Some(Ok(host))) => host,
            _ => return Err(ApiError::bad_request("a request names its Host")),
        };
        if !self.is_ours(name(host)) {
            return Err(ApiError::misdirected(name(host)));
        }
        if method.is_safe() {
            return Ok(());
        }
        let mut same = true;
        if let Some(origin) = headers.get(ORIGIN) {
            let origin = origin.to_str().unwrap_or_default();
            let of = origin.split_once("://").map_or("", |(_, of)| of);
            if self.is_named(name(of)) {
                return Ok(());
            }
            same = of.eq_ignore_ascii_case(host);
        }
        if let Some(site) = headers.get(SEC_FETCH_SITE) {
            same &= site == "same-origin" || site == "none";
        }
        if same {
            Ok(())
        } else {
            Err(ApiError::foreign())
        }
    }
}

/// Lets a request through, or not.
pub(crate) async fn guard(
    State(hosts): State<Hosts>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    hosts.check(request.method(), request.uri(), request.headers())?;
    Ok(next.run(request).await)
}

/// Without the port.
fn name(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|c| c.is_ascii_digit()) => name,
        _ => host,
    }
}

fn plain(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(address: &str) -> Hosts {
        Hosts::new(address.parse().unwrap(), &["Tin.example".to_owned()])
    }

    fn status(hosts: &Hosts, method: &Method, headers: &[(HeaderName, &str)]) -> u16 {
        let pairs = headers.iter().map(|(n, v)| (n.clone(), v.parse().unwrap()));
        let headers: HeaderMap = pairs.collect();
        let uri = Uri::from_static("/api/v1/devices");
        let checked = hosts.check(method, &uri, &headers);
        checked.map_or_else(|error| error.status().as_u16(), |()| 200)
    }

    #[test]
    fn only_names_of_ours_are_answered() {
        let loopback = hosts("127.0.0.1:8080");
        let get = |host: &str| status(&loopback, &Method::GET, &[(HOST, host)]);
        for host in [
            "127.0.0.1:8080",
            "localhost",
            "LOCALHOST:99",
            "localhost.:80",
            "[::1]:8080",
            "127.9.9.9",
            "tin.example",
            "TIN.example.:443",
        ] {
            assert_eq!(get(host), 200, "{host}");
        }
        for host in [
            "evil.example:8080",
            "192.0.2.1:8080",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "tin.example.evil",
            "xtin.example",
            "",
            "[::2]",
        ] {
            assert_eq!(get(host), 421, "{host}");
        }
        assert_eq!(status(&loopback, &Method::GET, &[]), 400);
        let any = hosts("0.0.0.0:8080");
        let get = |host: &str| status(&any, &Method::GET, &[(HOST, host)]);
        assert_eq!((get("192.0.2.1:8080"), get("evil.example")), (200, 421));
    }

    #[test]
    fn an_absolute_target_counts_more_than_the_header() {
        let headers = HeaderMap::from_iter([(HOST, "localhost".parse().unwrap())]);
        let uri = Uri::from_static("http://evil.example/api/v1/devices");
        let checked = hosts("127.0.0.1:1").check(&Method::GET, &uri, &headers);
        assert_eq!(checked.unwrap_err().status().as_u16(), 421);
    }

    #[test]
    fn pages_of_others_change_nothing() {
        let hosts = hosts("127.0.0.1:8080");
        let host = (HOST, "localhost:8080");
        let cases = [
            (None, None, 200),
            (Some("http://localhost:8080"), Some("same-origin"), 200),
            (Some("http://localhost:8080"), None, 200),
            (None, Some("none"), 200),
            (Some("http://evil.example"), None, 403),
            (Some("http://evil.example"), Some("cross-site"), 403),
            (None, Some("cross-site"), 403),
            (None, Some("same-site"), 403),
            (Some("http://localhost:3000"), Some("same-site"), 403),
            (Some("null"), None, 403),
            (Some("https://tin.example"), Some("cross-site"), 200),
        ];
        for (origin, site, expected) in cases {
            let mut headers = vec![host.clone()];
            headers.extend(origin.map(|value| (ORIGIN, value)));
            headers.extend(site.map(|value| (SEC_FETCH_SITE, value)));
            for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
                let found = status(&hosts, &method, &headers);
                assert_eq!(found, expected, "{origin:?} {site:?}");
            }
            assert_eq!(status(&hosts, &Method::GET, &headers), 200);
        }
    }
}
