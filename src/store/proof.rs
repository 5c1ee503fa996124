//! What was durable, kept beside the database, so that a database that has lost something can't
//! hide it.
//!
//! The file has two slots, 4,096 bytes apart, which take turns: a write that is cut off leaves the
//! other. A slot is a magic, a [`Mark`] and the first 8 bytes of their SHA-256.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::Mark;

const MAGIC: &[u8; 8] = b"TSMprf01";
/// Bytes of a slot that are used.
const LENGTH: usize = MAGIC.len() + Mark::BYTES + CHECK;
/// Bytes of a [`digest`].
pub(crate) const CHECK: usize = 8;
/// From one slot to the next.
const STRIDE: u64 = 4096;

/// What a proof file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// There is no file.
    Absent,
    /// Neither slot can be read.
    Damaged,
    /// The store was at least this far.
    Mark(Mark),
}

impl Proof {
    pub(crate) fn read(path: &Path) -> io::Result<Self> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::Absent),
            Err(error) => return Err(error),
        };
        let slots = [0, STRIDE as usize].into_iter();
        let marks = slots.filter_map(|at| decode(bytes.get(at..at + LENGTH)?));
        let last = marks.max_by_key(|mark| mark.sequence);
        Ok(last.map_or(Self::Damaged, Self::Mark))
    }
}

/// The file of a store that is open.
pub(crate) struct ProofFile {
    file: File,
    /// Of the slot that is written next.
    next: u64,
}

impl ProofFile {
    /// A new file in place of the one before; durable when this returns.
    pub(crate) fn create(path: &Path, mark: &Mark) -> io::Result<Self> {
        let temporary = path.with_extension("new");
        let mut bytes = vec![0; 2 * STRIDE as usize];
        bytes[..LENGTH].copy_from_slice(&encode(mark));
        bytes[STRIDE as usize..][..LENGTH].copy_from_slice(&encode(mark));
        fs::write(&temporary, bytes)?;
        let file = File::options().write(true).open(&temporary)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        if let Some(folder) = path.parent() {
            File::open(folder)?.sync_all()?;
        }
        Ok(Self { file, next: 0 })
    }

    /// Another handle of the file, to sync it from another thread.
    pub(crate) fn handle(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    /// Survives the death of the process when this returns, and that of the machine once the file
    /// was synced.
    pub(crate) fn write(&mut self, mark: &Mark) -> io::Result<()> {
        self.file.write_all_at(&encode(mark), self.next)?;
        self.next = STRIDE - self.next;
        Ok(())
    }
}

fn encode(mark: &Mark) -> [u8; LENGTH] {
    let mut slot = [0; LENGTH];
    let (covered, check) = slot.split_at_mut(LENGTH - CHECK);
    covered[..MAGIC.len()].copy_from_slice(MAGIC);
    covered[MAGIC.len()..].copy_from_slice(&mark.to_bytes());
    check.copy_from_slice(&digest(covered));
    slot
}

fn decode(slot: &[u8]) -> Option<Mark> {
    let (covered, check) = slot.split_at_checked(LENGTH - CHECK)?;
    let mark = covered.strip_prefix(MAGIC)?;
    (digest(covered) == *check).then(|| Mark::from_bytes(mark))?
}

/// The first bytes of the SHA-256.
pub(crate) fn digest(bytes: &[u8]) -> [u8; CHECK] {
    let [a, b, c, d, e, f, g, h, ..]: [u8; 32] = Sha256::digest(bytes).into();
    [a, b, c, d, e, f, g, h]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(sequence: u64) -> Mark {
        Mark {
            sequence,
            ..Mark::default()
        }
    }

    #[test]
    fn a_torn_write_leaves_the_mark_before() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("proof");
        assert_eq!(Proof::read(&path).unwrap(), Proof::Absent);
        let mut file = ProofFile::create(&path, &mark(1)).unwrap();
        for sequence in 2..7 {
            file.write(&mark(sequence)).unwrap();
            assert_eq!(Proof::read(&path).unwrap(), Proof::Mark(mark(sequence)));
            let mut bytes = fs::read(&path).unwrap();
            let newest = if sequence % 2 == 0 {
                0
            } else {
                STRIDE as usize
            };
            bytes[newest + 20] ^= 1;
            let torn = dir.path().join("torn");
            fs::write(&torn, &bytes).unwrap();
            let before = Proof::Mark(mark(sequence - 1));
            assert_eq!(Proof::read(&torn).unwrap(), before);
            bytes[STRIDE as usize - newest] ^= 1;
            fs::write(&torn, &bytes).unwrap();
            assert_eq!(Proof::read(&torn).unwrap(), Proof::Damaged);
        }
        fs::write(&path, b"").unwrap();
        assert_eq!(Proof::read(&path).unwrap(), Proof::Damaged);
    }
}
