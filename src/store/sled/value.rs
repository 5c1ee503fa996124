//! What the database has under which key, and its errors as the store's.

use crate::{Key, Kind, Loss, StoreError, Stored, Version};

pub(super) fn io(error: impl std::fmt::Display) -> StoreError {
    StoreError::Io(error.to_string())
}

/// What the system refuses is no damage.
pub(super) fn unreadable(error: &::sled::Error) -> StoreError {
    match error {
        ::sled::Error::Io(system) if system.raw_os_error().is_some() => io(error),
        _ => Loss::Unreadable(error.to_string()).into(),
    }
}

/// Of the record that keeps the [`Mark`] of the last commit.
pub(super) fn sequence_key() -> Vec<u8> {
    Key::new(Kind::META, "sequence").to_bytes()
}

pub(super) fn split(value: &[u8]) -> Result<Stored, StoreError> {
    let (version, bytes) = value
        .split_first_chunk::<8>()
        .ok_or_else(|| io("a record is truncated"))?;
    Ok(Stored {
        version: Version(u64::from_be_bytes(*version)),
        bytes: bytes.to_vec(),
    })
}
