//! What `serve` says when it runs.

use std::io::IsTerminal;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use anyhow::Result;
use tinsmith_server::random;

use super::start::Running;
use crate::out::{self, plain};

impl Running {
    /// Where this machine reaches HTTP.
    pub(crate) fn url(&self) -> String {
        url(self.http, self.tls)
    }
}

/// On standard output: for people, with a link for a browser if it is a terminal; or one line of
/// JSON.
pub(super) fn announce(running: &Running, store: &Path, json: bool) -> Result<()> {
    let addresses = running.server.addresses();
    if json {
        let line = serde_json::json!({
            "coap": addresses.coap.to_string(),
            "bootstrap": addresses.bootstrap.map(|a| a.to_string()),
            "coaps": addresses.coaps.map(|a| a.to_string()),
            "coaps_bootstrap": addresses.coaps_bootstrap.map(|a| a.to_string()),
            "http": running.http.to_string(),
            "url": running.url(),
            "store": store,
        });
        return out::print(&format!("{line}\n"));
    }
    let mut text = format!("tinsmith {}\n", env!("CARGO_PKG_VERSION"));
    let mut line = |line: String| {
        text.push_str(&plain(&line));
        text.push('\n');
    };
    for (what, scheme, address) in [
        ("register at  ", "coaps", addresses.coaps),
        ("bootstrap at ", "coaps", addresses.coaps_bootstrap),
        ("register at  ", "coap", Some(addresses.coap)),
        ("bootstrap at ", "coap", addresses.bootstrap),
    ] {
        if let Some(address) = address {
            line(format!("  devices {what} {}", reached(scheme, address)));
        }
    }
    let url = running.url();
    line(format!("  operators use         {url}"));
    line(format!("  everything is kept in {}", store.display()));
    // What is not a terminal may be a log, which is no place for a key.
    let link = if std::io::stdout().is_terminal() {
        let now = running.server.now();
        running.doors.link_of_folder(now, store, &random()?)
    } else {
        None
    };
    match link {
        Some(link) => {
            line(String::new());
            line("A browser gets in once, within 10 minutes, by".to_owned());
            line(format!("  {url}{link}"));
        }
        None => line("  browsers get in by    tinsmith login".to_owned()),
    }
    text.push_str(
        "\nNext:\n\
         \x20 tinsmith model list                    what can be installed\n\
         \x20 tinsmith device list                   who is there\n\
         \x20 tinsmith update DEVICE --model motion  build, send, try and commit\n",
    );
    if url != crate::api::DEFAULT {
        text.push_str(&format!("(with --server {url} behind each)\n"));
    }
    out::print(&text)
}

/// Where this machine reaches an HTTP listener.
fn url(address: SocketAddr, tls: bool) -> String {
    let scheme = if tls { "https" } else { "http" };
    let ip: IpAddr = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    format!("{scheme}://{}", SocketAddr::new(ip, address.port()))
}

/// A CoAP listener as a device would write it.
fn reached(scheme: &str, address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        let port = address.port();
        return format!("{scheme}://ADDRESS:{port} (every address of this machine)");
    }
    format!("{scheme}://{address}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_reached_from_here() {
        for (address, tls, expected) in [
            ("127.0.0.1:8080", false, "http://127.0.0.1:8080"),
            ("0.0.0.0:80", false, "http://127.0.0.1:80"),
            ("[::]:443", true, "https://[::1]:443"),
            ("192.0.2.1:443", true, "https://192.0.2.1:443"),
        ] {
            assert_eq!(url(address.parse().unwrap(), tls), expected);
        }
    }
}
