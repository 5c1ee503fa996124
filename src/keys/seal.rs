//! The key that seals others, and where it is from.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use lwm2m_objects::hex;
use tinsmith_seal::{Key, Seal};
use tinsmith_store::private;

/// Why something can't be sealed or opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The file of the sealing key.
    #[error("the sealing key {}: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The sealing key has another form.
    #[error("a sealing key has 64 hexadecimal digits: {place}")]
    Form {
        /// Where it is from.
        place: String,
    },
    /// Others may read the file.
    #[error("others may read {}: chmod 600", path.display())]
    Open {
        /// Which.
        path: PathBuf,
    },
    /// It was sealed with another key, or changed.
    #[error("it was sealed with another key, or has been changed")]
    Damaged,
    /// The system gives no random bits.
    #[error("the system gives no random bits")]
    Random,
}

/// The key that seals others. It is not printed.
#[derive(Clone)]
pub struct Master {
    key: Key,
}

impl std::fmt::Debug for Master {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Master")
    }
}

impl Master {
    /// From 64 hexadecimal digits; `place` says where they are from.
    ///
    /// # Errors
    /// It is something else.
    pub fn parse(text: &str, place: &str) -> Result<Self, SealError> {
        let bytes = hex::decode(text.trim()).unwrap_or_default();
        let key: [u8; 32] = bytes.try_into().map_err(|_| SealError::Form {
            place: place.to_owned(),
        })?;
        Ok(Self::new(&key))
    }

    /// From a file, which nobody else may read; it is made if it is not there.
    ///
    /// # Errors
    /// It can't be read or made, or is something else.
    pub fn open(path: &Path) -> Result<Self, SealError> {
        let file = |error| SealError::File {
            path: path.to_owned(),
            error,
        };
        match fs::read_to_string(path) {
            Ok(text) => {
                let mode = fs::metadata(path).map_err(file)?.permissions().mode();
                if mode & 0o077 != 0 {
                    return Err(SealError::Open {
                        path: path.to_owned(),
                    });
                }
                Self::parse(&text, &path.display().to_string())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::make(path),
            Err(error) => Err(file(error)),
        }
    }

    /// A new one into a file, in place of the one that may be there.
    ///
    /// # Errors
    /// It can't be made.
    pub fn make(path: &Path) -> Result<Self, SealError> {
        let key = random()?;
        let written = private::write(path, format!("{}\n", hex::encode(&key)).as_bytes());
        written.map_err(|error| SealError::File {
            path: path.to_owned(),
            error,
        })?;
        Ok(Self::new(&key))
    }

    fn new(key: &[u8; 32]) -> Self {
        Self { key: Key::new(key) }
    }

    /// The key itself.
    #[must_use]
    pub const fn key(&self) -> &Key {
        &self.key
    }

    /// Seals a secret that goes with `name`.
    ///
    /// # Errors
    /// It is too long.
    pub fn seal(&self, name: &[u8], secret: &[u8]) -> Result<Vec<u8>, SealError> {
        let sealed = self.key.seal(name, secret);
        sealed.map_err(|_| SealError::Damaged)
    }

    /// The secret that goes with `name`.
    ///
    /// # Errors
    /// It was sealed with another key or for another name, or has been changed.
    pub fn unseal(&self, name: &[u8], sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let opened = self.key.open(name, sealed);
        let opened = opened.map_err(|_| SealError::Damaged)?;
        Ok(opened.to_vec())
    }
}

pub(crate) fn random<const N: usize>() -> Result<[u8; N], SealError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| SealError::Random)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_is_opened_by_its_name_and_key_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sealing.key");
        let master = Master::open(&path).unwrap();
        let sealed = master.seal(b"name", b"secret").unwrap();
        assert!(!sealed.windows(6).any(|part| part == b"secret"));
        assert_ne!(sealed, master.seal(b"eman", b"secret").unwrap());
        let again = Master::open(&path).unwrap();
        assert_eq!(again.unseal(b"name", &sealed).unwrap(), b"secret");
        assert!(master.unseal(b"other", &sealed).is_err());
        for at in 0..sealed.len() {
            let mut other = sealed.clone();
            other[at] ^= 1;
            assert!(master.unseal(b"name", &other).is_err());
            assert!(master.unseal(b"name", &sealed[..at]).is_err());
        }
        let other = Master::parse(&"01".repeat(32), "here").unwrap();
        assert!(other.unseal(b"name", &sealed).is_err());
        assert!(Master::parse("0102", "here").is_err());
    }

    #[test]
    fn a_sealing_key_that_others_may_read_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sealing.key");
        Master::open(&path).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(Master::open(&path), Err(SealError::Open { .. })));
    }
}
