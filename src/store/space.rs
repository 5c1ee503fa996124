//! How much room the disk has, so that it is never full under the database.

use std::io;
use std::path::Path;

/// With less room than this nothing is stored: the database needs some to stay whole.
pub const RESERVE: u64 = 32 << 20;
/// With this much it is again.
const ENOUGH: u64 = 40 << 20;

/// Bytes that a process may still write to the disk under `path`.
///
/// # Errors
/// What the system says.
pub fn free(path: &Path) -> io::Result<u64> {
    let disk = nix::sys::statvfs::statvfs(path)?;
    Ok(disk.blocks_available().saturating_mul(disk.fragment_size()))
}

/// Whether there is room, with a gap between "no longer" and "again".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) full: bool,
}

impl Room {
    /// True if that changed.
    pub(crate) fn look(&mut self, free: u64) -> bool {
        let full = free < if self.full { ENOUGH } else { RESERVE };
        std::mem::replace(&mut self.full, full) != full
    }
}

/// `StorageFull` if `bytes` more would leave less than the reserve.
pub(crate) fn expect_room(folder: &Path, bytes: u64) -> io::Result<()> {
    if free(folder)? < RESERVE.saturating_add(bytes) {
        return Err(io::Error::from(io::ErrorKind::StorageFull));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_and_again_are_a_gap_apart() {
        let mut room = Room::default();
        assert!(!room.look(RESERVE));
        assert!(room.look(RESERVE - 1) && room.full);
        assert!(!room.look(RESERVE) && room.full);
        assert!(room.look(ENOUGH) && !room.full);
    }

    #[test]
    fn the_system_knows_its_disks() {
        assert!(free(Path::new("/")).is_ok());
        assert!(free(Path::new("/nonexistent")).is_err());
    }
}
