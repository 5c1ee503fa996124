//! The journal: a group of commits is durable when it is here, one write and one sync. What the
//! database is for it gets afterwards, in memory, and is synced when a file of the journal is full;
//! at a start what it lacks comes from here. Of the kinds that are in the [table](super::table)
//! the journal is the only place.
//!
//! Files are named by numbers that grow. Each is groups, one behind the other, from its beginning
//! on; zeros follow. A group is, all numbers big endian: the magic, bytes of the changes (u32),
//! number of its first commit (u64), the [`Mark`] after it, the changes, and the first 8 bytes of
//! the SHA-256 of all that. A change is 0 for removed or 1 for written (u8), length of the key
//! (u16), of the value (u32), key, value. A group without commits has records that were in a file
//! that is not needed any more.
//!
//! The version before had two files, `0` and `1`, which took turns.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use super::blocks::Blocks;
use super::segments::{Segment, Segments, path};
use crate::Mark;
use crate::proof::{CHECK, digest};

const MAGIC: &[u8; 4] = b"TSMj";
const HEAD: usize = MAGIC.len() + 4 + 8 + Mark::BYTES;

/// Changes that became durable together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    /// Number of the first commit.
    pub(super) first: u64,
    /// After the last commit.
    pub(super) mark: Mark,
    /// What [`Changes`] reads, and where it begins in the file.
    body: (usize, &'a [u8]),
}

impl<'a> Entry<'a> {
    pub(super) fn changes(&self) -> Changes<'a> {
        let (at, left) = self.body;
        Changes { at, left }
    }
}

/// What was done to a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Change<'a> {
    pub(super) key: &'a [u8],
    /// `None`: it was removed.
    pub(super) value: Option<&'a [u8]>,
    /// Where the value begins in the file.
    pub(super) at: usize,
}

/// The changes of a group, in order.
pub(super) struct Changes<'a> {
    at: usize,
    left: &'a [u8],
}

impl<'a> Iterator for Changes<'a> {
    type Item = Change<'a>;

    fn next(&mut self) -> Option<Change<'a>> {
        let mut left = self.left;
        let [kind] = number(&mut left)?;
        let key = usize::from(u16::from_be_bytes(number(&mut left)?));
        let length = u32::from_be_bytes(number(&mut left)?) as usize;
        let key = take(&mut left, key)?;
        let value = take(&mut left, length)?;
        self.at += self.left.len() - left.len();
        self.left = left;
        Some(Change {
            key,
            value: (kind != 0).then_some(value),
            at: self.at - length,
        })
    }
}

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

    /// Keys have at most 65,535 bytes, values fewer than 2^32. Returns where in the group the value
    /// begins.
    pub(super) fn change(&mut self, key: &[u8], value: Option<&[u8]>) -> usize {
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
        let at = self.bytes.len();
        self.bytes.extend_from_slice(value);
        at
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
    }

    pub(super) fn finish(&mut self, first: u64, mark: &Mark) -> &[u8] {
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

/// The group that begins at `at`, and where the next would. Its digest is compared if it is not
/// `known`.
fn decode(bytes: &[u8], at: usize, known: bool) -> Option<(Entry<'_>, usize)> {
    let all = bytes.get(at..)?;
    let mut head = all.strip_prefix(MAGIC)?;
    let length = u32::from_be_bytes(number(&mut head)?) as usize;
    let first = u64::from_be_bytes(number(&mut head)?);
    let mark = Mark::from_bytes(take(&mut head, Mark::BYTES)?)?;
    let body = take(&mut head, length)?;
    let check = take(&mut head, CHECK)?;
    if !known && digest(&all[..HEAD + length]) != *check {
        return None;
    }
    let body = (at + HEAD, body);
    let entry = Entry { first, mark, body };
    Some((entry, at + HEAD + length + CHECK))
}

/// The groups of one file, up to the first that is not whole or does not go on from the one before.
pub(super) fn groups(bytes: &[u8]) -> impl Iterator<Item = Entry<'_>> {
    walk(bytes, false)
}

fn walk(bytes: &[u8], known: bool) -> impl Iterator<Item = Entry<'_>> {
    let mut at = 0;
    let mut last: Option<u64> = None;
    std::iter::from_fn(move || {
        let (entry, end) = decode(bytes, at, known)?;
        if last.is_some_and(|last| entry.first != last + 1) {
            return None;
        }
        at = end;
        last = Some(entry.mark.sequence);
        Some(entry)
    })
}

/// What a file has, without what is no group.
pub(super) struct Content {
    bytes: Vec<u8>,
    /// After its last group.
    pub(super) mark: Option<Mark>,
}

impl Content {
    /// From all bytes of the file.
    pub(super) fn new(mut bytes: Vec<u8>) -> Self {
        let last = groups(&bytes).last();
        let mark = last.map(|entry| entry.mark);
        let end = last.map_or(0, |entry| entry.body.0 + entry.body.1.len() + CHECK);
        bytes.truncate(end);
        Self { bytes, mark }
    }

    /// All changes, in order.
    pub(super) fn changes(&self) -> impl Iterator<Item = Change<'_>> {
        walk(&self.bytes, true).flat_map(|entry| entry.changes())
    }
}

/// The numbers of the files in `folder`, in the order in which they were written.
pub(super) fn list(folder: &Path) -> io::Result<Vec<u64>> {
    let mut all = Vec::new();
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(all),
        entries => entries?,
    };
    for entry in entries {
        let name = entry?.file_name();
        all.extend(name.to_str().and_then(|name| name.parse::<u64>().ok()));
    }
    all.sort_unstable();
    // Those that took turns.
    if let [0, 1, ..] = all[..] {
        let begins = |number| io::Result::Ok(begins(&fs::read(path(folder, number))?));
        if begins(1)? < begins(0)? {
            all.swap(0, 1);
        }
    }
    Ok(all)
}

/// The number of the first commit; above all others if there is none.
fn begins(bytes: &[u8]) -> u64 {
    groups(bytes).next().map_or(u64::MAX, |entry| entry.first)
}

/// Where a group was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Written {
    /// Number of the file.
    pub(super) segment: u64,
    /// Where the group begins in it.
    pub(super) at: u64,
}

/// The journal of a store that is open.
pub(super) struct Journal {
    segments: Segments,
    current: Segment,
    /// Where the next group goes.
    end: u64,
    blocks: Blocks,
}

impl Journal {
    /// Goes on in a new file, `number`, which must be above all others.
    pub(super) fn create(folder: &Path, number: u64) -> io::Result<Self> {
        let segments = Segments::start(folder, number)?;
        let current = segments.next()?;
        Ok(Self {
            segments,
            current,
            end: 0,
            blocks: Blocks::default(),
        })
    }

    /// The file that is written, and its number.
    pub(super) fn current(&self) -> (u64, Arc<File>) {
        (self.current.number, Arc::clone(&self.current.file))
    }

    /// Makes durable what was written since the last turn.
    pub(super) fn sync(&self) -> io::Result<()> {
        if self.current.direct {
            // The write was it.
            return Ok(());
        }
        self.current.to.sync_data()
    }

    /// Whether another file should be written from now on.
    pub(super) fn is_full(&self) -> bool {
        self.end >= self.current.capacity
    }

    /// Goes on with a new file. What was written must be durable.
    pub(super) fn turn(&mut self) -> io::Result<()> {
        self.current = self.segments.next()?;
        self.end = 0;
        self.blocks = Blocks::default();
        Ok(())
    }

    /// Removes a file of which nothing is needed any more; those before it are removed first.
    pub(super) fn remove(&self, number: u64) {
        self.segments.remove(number);
    }

    /// Writes a group; it survives the death of the process when this returns, and that of the
    /// machine once the file is synced.
    pub(super) fn write(
        &mut self,
        group: &mut Group,
        first: u64,
        mark: &Mark,
    ) -> io::Result<Written> {
        let bytes = group.finish(first, mark);
        let at = self.end;
        if self.current.direct {
            self.blocks.write(&self.current.to, bytes, at)?;
        } else {
            self.current.to.write_all_at(bytes, at)?;
        }
        self.end += bytes.len() as u64;
        let segment = self.current.number;
        Ok(Written { segment, at })
    }
}

#[cfg(test)]
mod tests {
    use super::super::segments::{FIRST, FULL};
    use super::*;

    fn mark(sequence: u64) -> Mark {
        Mark {
            sequence,
            ..Mark::default()
        }
    }

    fn write(journal: &mut Journal, first: u64, last: u64, value: &[u8]) -> Written {
        let mut group = Group::default();
        for sequence in first..=last {
            group.change(&sequence.to_be_bytes(), Some(value));
        }
        group.change(b"gone", None);
        journal.write(&mut group, first, &mark(last)).unwrap()
    }

    fn numbers(bytes: &[u8]) -> Vec<(u64, u64)> {
        groups(bytes)
            .map(|entry| (entry.first, entry.mark.sequence))
            .collect()
    }

    fn all(folder: &Path) -> Vec<(u64, u64)> {
        let files = list(folder).unwrap().into_iter();
        files
            .flat_map(|number| numbers(&fs::read(path(folder, number)).unwrap()))
            .collect()
    }

    #[test]
    fn what_was_written_is_read_over_turns() {
        let folder = tempfile::tempdir().unwrap();
        assert!(list(&folder.path().join("none")).unwrap().is_empty());
        let mut journal = Journal::create(folder.path(), FIRST).unwrap();
        write(&mut journal, 1, 3, b"one");
        let written = write(&mut journal, 4, 4, b"two");
        assert_eq!(all(folder.path()), [(1, 3), (4, 4)]);
        let bytes = fs::read(path(folder.path(), written.segment)).unwrap();
        let entry = groups(&bytes).last().unwrap();
        let changes: Vec<_> = entry.changes().collect();
        assert_eq!(changes[0].key, 4u64.to_be_bytes());
        assert_eq!(changes[0].value, Some(&b"two"[..]));
        assert_eq!(&bytes[changes[0].at..][..3], b"two");
        assert_eq!((changes[1].key, changes[1].value), (&b"gone"[..], None));
        let mut group = Group::default();
        let at = group.change(&4u64.to_be_bytes(), Some(b"two"));
        assert_eq!(written.at as usize + at, changes[0].at);

        journal.turn().unwrap();
        write(&mut journal, 5, 5, b"three");
        // Records that were moved are no commits.
        write(&mut journal, 6, 5, b"");
        assert_eq!(all(folder.path()), [(1, 3), (4, 4), (5, 5), (6, 5)]);
        journal.remove(written.segment);
        drop(journal);
        assert_eq!(all(folder.path()), [(5, 5), (6, 5)]);
        let next = list(folder.path()).unwrap().last().unwrap() + 1;
        let mut journal = Journal::create(folder.path(), next).unwrap();
        write(&mut journal, 6, 6, b"four");
        assert_eq!(all(folder.path()), [(5, 5), (6, 5), (6, 6)]);
    }

    #[test]
    fn files_that_took_turns_are_read_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let file = |number, first, last| {
            let mut group = Group::default();
            let bytes = group.finish(first, &mark(last));
            fs::write(path(folder.path(), number), bytes).unwrap();
        };
        file(0, 4, 6);
        file(1, 1, 3);
        assert_eq!(all(folder.path()), [(1, 3), (4, 6)]);
        file(1, 7, 9);
        assert_eq!(all(folder.path()), [(4, 6), (7, 9)]);
        fs::write(path(folder.path(), 0), b"").unwrap();
        assert_eq!(all(folder.path()), [(7, 9)]);
    }

    #[test]
    fn a_group_is_there_or_not() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::create(folder.path(), FIRST).unwrap();
        write(&mut journal, 1, 2, b"first");
        let one = journal.end as usize;
        write(&mut journal, 3, 3, b"second");
        let bytes = fs::read(path(folder.path(), FIRST)).unwrap();
        for cut in 0..journal.end as usize {
            let whole: &[_] = if cut < one { &[] } else { &[(1, 2)] };
            assert_eq!(numbers(&bytes[..cut]), whole, "cut at {cut}");
            let mut flipped = bytes.clone();
            flipped[cut] ^= 1 << (cut % 8);
            assert_eq!(numbers(&flipped), whole, "bit of {cut}");
        }
    }

    #[test]
    fn a_group_may_be_larger_than_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::create(folder.path(), FIRST).unwrap();
        write(&mut journal, 1, 1, &vec![7; FULL as usize]);
        assert!(journal.is_full());
        assert_eq!(all(folder.path()), [(1, 1)]);
    }
}
