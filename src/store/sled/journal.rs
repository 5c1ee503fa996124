//! The journal in front of the database: a group of commits is durable when it is here, one write
//! and one sync. The database has it too, in memory, and is synced only when a file of the journal
//! is full. At a start what the database lacks comes from here.
//!
//! Two files, `0` and `1`, take turns. Each is groups, one behind the other, from its beginning on;
//! what follows the last is an earlier turn's, whose numbers are lower, or zeros. A group is, all
//! numbers big endian: the magic, bytes of the changes (u32), number of its first commit (u64), the
//! [`Mark`] after it, the changes, and the first 8 bytes of the SHA-256 of all that. A change is
//! 0 for removed or 1 for written (u8), length of the key (u16), of the value (u32), key, value.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::proof::{CHECK, digest};
use crate::{Mark, private};

const MAGIC: &[u8; 4] = b"TSMj";
const HEAD: usize = MAGIC.len() + 4 + 8 + Mark::BYTES;
/// A file with this many bytes of groups is full.
pub(super) const FULL: u64 = 4 << 20;
/// Bytes by which a file grows: its length is then seldom news to the file system.
const STEP: u64 = 512 << 10;
/// How many files there are.
const FILES: usize = 2;

/// Changes that become durable together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Number of the first commit.
    pub(super) first: u64,
    /// After the last commit.
    pub(super) mark: Mark,
    pub(super) changes: Vec<Change>,
}

/// A key and its value as written; `None`: removed.
pub(super) type Change = (Vec<u8>, Option<Vec<u8>>);

/// The bytes of a group while it is made.
#[derive(Default)]
pub(super) struct Group {
    bytes: Vec<u8>,
}

impl Group {
    /// Bytes of its changes.
    pub(super) fn len(&self) -> usize {
        self.bytes.len().saturating_sub(HEAD)
    }

    /// Keys have at most 65,535 bytes, values fewer than 2^32.
    pub(super) fn change(&mut self, key: &[u8], value: Option<&[u8]>) {
        if self.bytes.is_empty() {
            self.bytes.resize(HEAD, 0);
        }
        self.bytes.push(u8::from(value.is_some()));
        let value = value.unwrap_or_default();
        self.bytes
            .extend_from_slice(&(key.len() as u16).to_be_bytes());
        self.bytes
            .extend_from_slice(&(value.len() as u32).to_be_bytes());
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value);
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
    }

    fn finish(&mut self, first: u64, mark: &Mark) -> &[u8] {
        if self.bytes.is_empty() {
            self.bytes.resize(HEAD, 0);
        }
        let length = self.len() as u32;
        let mut head = Vec::with_capacity(HEAD);
        head.extend_from_slice(MAGIC);
        head.extend_from_slice(&length.to_be_bytes());
        head.extend_from_slice(&first.to_be_bytes());
        head.extend_from_slice(&mark.to_bytes());
        self.bytes[..HEAD].copy_from_slice(&head);
        let check = digest(&self.bytes);
        self.bytes.extend_from_slice(&check);
        &self.bytes
    }
}

/// A part of `bytes`, and the rest; none if there are fewer.
fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (part, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(part)
}

fn number<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    take(bytes, N)?.try_into().ok()
}

/// The group at the beginning of `bytes`, which are then what follows it.
fn decode(bytes: &mut &[u8]) -> Option<Entry> {
    let all = *bytes;
    let mut head = all.strip_prefix(MAGIC)?;
    let length = u32::from_be_bytes(number(&mut head)?) as usize;
    let first = u64::from_be_bytes(number(&mut head)?);
    let mark = Mark::from_bytes(take(&mut head, Mark::BYTES)?)?;
    let mut body = take(&mut head, length)?;
    let check = take(&mut head, CHECK)?;
    if digest(&all[..HEAD + length]) != *check {
        return None;
    }
    let mut changes = Vec::new();
    while !body.is_empty() {
        let [kind] = number(&mut body)?;
        let key = usize::from(u16::from_be_bytes(number(&mut body)?));
        let value = u32::from_be_bytes(number(&mut body)?) as usize;
        let key = take(&mut body, key)?.to_vec();
        let value = take(&mut body, value)?.to_vec();
        changes.push((key, (kind != 0).then_some(value)));
    }
    *bytes = head;
    Some(Entry {
        first,
        mark,
        changes,
    })
}

/// The groups of one file, without those of an earlier turn.
fn groups(mut bytes: &[u8]) -> Vec<Entry> {
    let mut all: Vec<Entry> = Vec::new();
    while let Some(entry) = decode(&mut bytes) {
        if all
            .last()
            .is_some_and(|last| entry.first != last.mark.sequence + 1)
        {
            break;
        }
        all.push(entry);
    }
    all
}

/// All groups of the journal in `folder`, in order; they may have a gap between the files.
pub(super) fn read(folder: &Path) -> io::Result<Vec<Entry>> {
    let mut files = Vec::new();
    for index in 0..FILES {
        match fs::read(path(folder, index)) {
            Ok(bytes) => files.push(groups(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    files.sort_by_key(|groups| groups.first().map(|entry| entry.first));
    Ok(files.into_iter().flatten().collect())
}

fn path(folder: &Path, index: usize) -> PathBuf {
    folder.join(index.to_string())
}

/// The journal of a store that is open.
pub(super) struct Journal {
    files: [File; FILES],
    /// Bytes that each file has.
    lengths: [u64; FILES],
    current: usize,
    /// Where the next group goes.
    end: u64,
}

impl Journal {
    /// An empty one; what one before had must be in the database.
    pub(super) fn create(folder: &Path) -> io::Result<Self> {
        private::folder(folder)?;
        let open = |index| {
            let file = private::file(&path(folder, index))?;
            file.sync_all()?;
            io::Result::Ok(file)
        };
        let files = [open(0)?, open(1)?];
        File::open(folder)?.sync_all()?;
        Ok(Self {
            files,
            lengths: [0; FILES],
            current: 0,
            end: 0,
        })
    }

    /// Makes durable what was written since the last turn.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.files[self.current].sync_data()
    }

    /// Whether the other file should be written from now on.
    pub(super) fn is_full(&self) -> bool {
        self.end >= FULL
    }

    /// Goes on with the other file, of which nothing is needed any more.
    pub(super) fn turn(&mut self) {
        self.current = (self.current + 1) % FILES;
        self.end = 0;
    }

    /// Writes a group; it survives the death of the process when this returns, and that of the
    /// machine once the file is synced.
    pub(super) fn write(&mut self, group: &mut Group, first: u64, mark: &Mark) -> io::Result<()> {
        let bytes = group.finish(first, mark);
        let file = &self.files[self.current];
        let length = &mut self.lengths[self.current];
        let end = self.end + bytes.len() as u64;
        if end > *length {
            let grown = end.next_multiple_of(STEP);
            file.write_all_at(&vec![0; (grown - *length) as usize], *length)?;
            *length = grown;
        }
        file.write_all_at(bytes, self.end)?;
        self.end = end;
        Ok(())
    }
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

    fn write(journal: &mut Journal, first: u64, last: u64, value: &[u8]) {
        let mut group = Group::default();
        for sequence in first..=last {
            group.change(&sequence.to_be_bytes(), Some(value));
        }
        group.change(b"gone", None);
        journal.write(&mut group, first, &mark(last)).unwrap();
    }

    fn numbers(folder: &Path) -> Vec<(u64, u64)> {
        let entries = read(folder).unwrap();
        entries
            .iter()
            .map(|entry| (entry.first, entry.mark.sequence))
            .collect()
    }

    #[test]
    fn what_was_written_is_read_over_turns() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(numbers(folder.path()), []);
        let mut journal = Journal::create(folder.path()).unwrap();
        write(&mut journal, 1, 3, b"one");
        write(&mut journal, 4, 4, b"two");
        assert_eq!(numbers(folder.path()), [(1, 3), (4, 4)]);
        let entries = read(folder.path()).unwrap();
        let removed = (b"gone".to_vec(), None);
        let written = (4u64.to_be_bytes().to_vec(), Some(b"two".to_vec()));
        assert_eq!(entries[1].changes, [written, removed]);
        journal.turn();
        write(&mut journal, 5, 5, b"three");
        assert_eq!(numbers(folder.path()), [(1, 3), (4, 4), (5, 5)]);
        // The second group of the first turn has the place that the next would have.
        journal.turn();
        write(&mut journal, 6, 8, b"one");
        assert_eq!(numbers(folder.path()), [(5, 5), (6, 8)]);
        Journal::create(folder.path()).unwrap();
        assert_eq!(numbers(folder.path()), []);
    }

    #[test]
    fn a_group_is_there_or_not() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::create(folder.path()).unwrap();
        write(&mut journal, 1, 2, b"first");
        let one = journal.end as usize;
        write(&mut journal, 3, 3, b"second");
        let file = path(folder.path(), 0);
        let bytes = fs::read(&file).unwrap();
        for cut in 0..journal.end as usize {
            fs::write(&file, &bytes[..cut]).unwrap();
            let whole: &[_] = if cut < one { &[] } else { &[(1, 2)] };
            assert_eq!(numbers(folder.path()), whole, "cut at {cut}");
            let mut flipped = bytes.clone();
            flipped[cut] ^= 1 << (cut % 8);
            fs::write(&file, &flipped).unwrap();
            assert_eq!(numbers(folder.path()), whole, "bit of {cut}");
        }
    }

    #[test]
    fn a_group_may_be_larger_than_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::create(folder.path()).unwrap();
        write(&mut journal, 1, 1, &vec![7; FULL as usize]);
        assert!(journal.is_full());
        assert_eq!(numbers(folder.path()), [(1, 1)]);
    }
}
