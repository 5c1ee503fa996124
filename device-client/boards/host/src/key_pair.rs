//! Key pairs and certificates from files, as OpenSSL writes them: PEM or DER; or in hexadecimal
//! digits.

use std::fmt;
use std::path::{Path, PathBuf};

use lwm2m_objects::hex;
use tinsmith_client::{Certificates as ClientCertificates, KeyPair as ClientKeyPair};

/// A key pair, and what is known of the server's.
#[derive(Clone)]
pub struct KeyPair {
    public: Vec<u8>,
    private: Vec<u8>,
    server: Vec<u8>,
    certificates: Option<Certificates>,
}

#[derive(Clone)]
struct Certificates {
    is_of_authority: bool,
    server_name: String,
}

/// What a device knows its server by, as a file.
#[derive(Clone, Copy, Debug)]
pub enum Known<'a> {
    /// Its certificate.
    Certificate(&'a Path),
    /// The certificate of an authority above it.
    Authority(&'a Path),
}

/// A file has no key or certificate of P-256: the user's mistake.
#[derive(Debug)]
#[non_exhaustive]
pub enum KeyFileError {
    /// It can't be read.
    Read(PathBuf, std::io::Error),
    /// There is something else in it.
    Content(PathBuf),
}

impl fmt::Display for KeyFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(path, e) => write!(f, "cannot read {}: {e}", path.display()),
            Self::Content(path) => {
                write!(
                    f,
                    "{} is no key or certificate of P-256, PEM, DER or hexadecimal digits",
                    path.display()
                )
            }
        }
    }
}

impl std::error::Error for KeyFileError {}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyPair")
    }
}

impl KeyPair {
    /// Raw public keys (RFC 7250): the device's private key, and the public key of its server.
    ///
    /// # Errors
    /// A file can't be read or has something else in it.
    pub fn raw(private: &Path, server: &Path) -> Result<Self, KeyFileError> {
        let key = read(private, &PRIVATE)?;
        let public = tinsmith_client::public_key_info(&key);
        let public = public.ok_or_else(|| KeyFileError::Content(private.into()))?;
        Ok(Self {
            public: public.to_vec(),
            private: key,
            server: read(server, &["PUBLIC KEY"])?,
            certificates: None,
        })
    }

    /// Certificates: the device's private key, its certificate, what it knows its server by, and
    /// the name in that one's certificate, else its address.
    ///
    /// # Errors
    /// A file can't be read or has something else in it.
    pub fn certificates(
        private: &Path,
        own: &Path,
        server: Known<'_>,
        server_name: String,
    ) -> Result<Self, KeyFileError> {
        let (is_of_authority, file) = match server {
            Known::Certificate(file) => (false, file),
            Known::Authority(file) => (true, file),
        };
        Ok(Self {
            public: read(own, &["CERTIFICATE"])?,
            private: read(private, &PRIVATE)?,
            server: read(file, &["CERTIFICATE"])?,
            certificates: Some(Certificates {
                is_of_authority,
                server_name,
            }),
        })
    }

    /// As the client takes it, for the server of this URI.
    pub(crate) fn at<'a>(&'a self, uri: &'a str) -> ClientKeyPair<'a> {
        let certificates = self.certificates.as_ref();
        ClientKeyPair {
            uri,
            public: &self.public,
            private: &self.private,
            server: &self.server,
            certificates: certificates.map(|c| ClientCertificates {
                is_of_authority: c.is_of_authority,
                server_name: &c.server_name,
            }),
        }
    }
}

const PRIVATE: [&str; 2] = ["PRIVATE KEY", "EC PRIVATE KEY"];

fn read(path: &Path, labels: &[&str]) -> Result<Vec<u8>, KeyFileError> {
    let bytes = std::fs::read(path).map_err(|e| KeyFileError::Read(path.into(), e))?;
    // A DER file begins with a sequence, which is no line of text.
    if bytes.first() == Some(&0x30) {
        return Ok(bytes);
    }
    let text = std::str::from_utf8(&bytes).unwrap_or_default();
    let found = labels.iter().find_map(|label| from_pem(text, label));
    let found = found.or_else(|| hex::decode(text.trim()).filter(|bytes| !bytes.is_empty()));
    found.ok_or_else(|| KeyFileError::Content(path.into()))
}

/// The first object with this label in a text (RFC 7468).
fn from_pem(text: &str, label: &str) -> Option<Vec<u8>> {
    let (_, rest) = text.split_once(&format!("-----BEGIN {label}-----"))?;
    let (base64, _) = rest.split_once("-----END ")?;
    let mut bytes = Vec::new();
    let mut group = (0u32, 0);
    for c in base64.bytes().filter(|c| !c.is_ascii_whitespace()) {
        let value = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' => continue,
            _ => return None,
        };
        group = (group.0 << 6 | u32::from(value), group.1 + 6);
        if group.1 >= 8 {
            group.1 -= 8;
            bytes.push((group.0 >> group.1) as u8);
            group.0 &= (1 << group.1) - 1;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pem() {
        let text = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n\
                    -----BEGIN X-----\r\n/+8A\r\nAQI=\r\n-----END X-----\r\n";
        assert_eq!(from_pem(text, "X"), Some(vec![0xff, 0xef, 0, 1, 2]));
        let curve = from_pem(text, "EC PARAMETERS").unwrap();
        assert_eq!(curve[..3], [6, 8, 0x2a]);
        assert_eq!(from_pem(text, "Y"), None);
        assert_eq!(
            from_pem("-----BEGIN X-----\nAA!A\n-----END X-----", "X"),
            None
        );
        assert_eq!(from_pem("-----BEGIN X-----\nAAAA", "X"), None);
    }
}
