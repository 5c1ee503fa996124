//! What devices get at bootstrap, by the patterns of their names.

use std::sync::{Arc, PoisonError, RwLock};

use lwm2m_objects::Path;

use super::Identity;

/// What devices whose names fit a pattern get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// `*` stands for any characters, `?` for one.
    pub pattern: String,
    /// Of the LwM2M server, e.g. `coap://192.0.2.1:5683`. Empty: this server's management
    /// listener, by the address at which the device reaches it.
    pub server_uri: String,
    /// Seconds.
    pub lifetime: u32,
    /// 1 to 65534.
    pub short_server_id: u16,
    /// Transports, e.g. `U`.
    pub binding: String,
    /// Instance of Security that is written, or the first free one if the bootstrap account is
    /// there; a device that can't be asked for its instances must have that at another.
    pub security_instance: u16,
    /// Instance of Server that is written.
    pub server_instance: u16,
    /// The path of the Delete; the bootstrap account and Device survive it (LwM2M TS 1.1
    /// §6.1.7.4).
    pub delete: Path,
    /// It is a `coap://` server with OSCORE, for which devices get a context. Who bootstraps over
    /// OSCORE gets one for every `coap://` server.
    pub oscore: bool,
}

impl Default for Rule {
    /// For all devices, to this server.
    fn default() -> Self {
        Rule {
            pattern: "*".into(),
            server_uri: String::new(),
            lifetime: 300,
            short_server_id: 123,
            binding: "U".into(),
            security_instance: 1,
            server_instance: 0,
            delete: Path::ROOT,
            oscore: false,
        }
    }
}

/// Rules, the first that fits counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootstrapConfig {
    /// In order.
    pub rules: Vec<Rule>,
    /// What devices with a Compute Platform get as its Trust Anchor (27300/0/14).
    pub trust_anchors: TrustAnchors,
    /// The port of this server's management listener without DTLS, for devices with OSCORE.
    pub coap_port: Option<u16>,
}

/// Public keys, as COSE_Key. Clones share them, so that whoever changes them need not start the
/// server again.
#[derive(Clone, Debug, Default)]
pub struct TrustAnchors(Arc<RwLock<Arc<[Vec<u8>]>>>);

impl TrustAnchors {
    /// These; the newest first.
    pub fn set(&self, keys: Vec<Vec<u8>>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = keys.into();
    }

    /// Those that were set last.
    pub fn get(&self) -> Arc<[Vec<u8>]> {
        let keys = self.0.read().unwrap_or_else(PoisonError::into_inner);
        keys.clone()
    }
}

impl PartialEq for TrustAnchors {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl Eq for TrustAnchors {}

impl Default for BootstrapConfig {
    fn default() -> Self {
        BootstrapConfig {
            rules: vec![Rule::default()],
            trust_anchors: TrustAnchors::default(),
            coap_port: None,
        }
    }
}

impl BootstrapConfig {
    /// The rule for a device. One that bootstraps with keys is not sent to a server without.
    pub fn rule(&self, endpoint: &str, identity: &Identity) -> Option<&Rule> {
        let has_oscore = matches!(identity, Identity::Oscore(_));
        let fits = |rule: &&Rule| {
            let is_coap = rule.server_uri.starts_with("coap://");
            let is_plain = is_coap && !rule.oscore && !has_oscore;
            name_fits(&rule.pattern, endpoint) && !(identity.is_authenticated() && is_plain)
        };
        self.rules.iter().find(fits)
    }
}

// Without recursion: linear but for the last star.
/// Whether an endpoint name fits a pattern, in which `*` stands for any characters and `?` for one.
pub fn name_fits(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == b'?' || *c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((at, from)) = star else { return false };
                star = Some((at, from + 1));
                p = at + 1;
                t = from + 1;
            }
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, text, fits) in [
            ("*", "anything", true),
            ("*", "", true),
            ("dev-?", "dev-1", true),
            ("dev-?", "dev-12", false),
            ("a*b*c", "a-xx-b-yy-c", true),
            ("a*b*c", "a-xx-b-yy", false),
            ("", "", true),
            ("", "x", false),
        ] {
            assert_eq!(name_fits(pattern, text), fits, "{pattern} {text}");
        }
    }
}
