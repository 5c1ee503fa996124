//! Records of the kinds that every device renews by itself: they are in the journal only, and this
//! knows where. So a registration costs one write, and the database is not on its way; its files
//! are read once, at the start.
//!
//! As Bitcask does it (Sheehy and Smith, "Bitcask: A Log-Structured Hash Table for Fast Key/Value
//! Data", 2010), with an ordered table. When there are more files than twice what is in use, the
//! records of the oldest are written again, and it is removed.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io;
use std::ops::Bound;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::journal::{self, Group, Journal, Written};
use super::segments::FULL;
use crate::content::{Content, Hash, hash};
use crate::{Kind, Mark, Version};

/// Files that are kept however little of them is in use.
const SPARE: u64 = 4;
/// Values that are read together, and the bytes that may be between two of them.
const RUN: usize = 1024;
const GAP: u32 = 4096;

/// Where a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    /// Number of the file.
    segment: u32,
    at: u32,
    length: u32,
}

impl Place {
    /// None if the journal has grown out of all bounds.
    fn new(segment: u64, at: usize, length: usize) -> io::Result<Self> {
        let small = |_| io::Error::from(io::ErrorKind::FileTooLarge);
        Ok(Self {
            segment: u32::try_from(segment).map_err(small)?,
            at: u32::try_from(at).map_err(small)?,
            length: u32::try_from(length).map_err(small)?,
        })
    }

    /// Whether it is cheaper to read what is between than to read twice; the other is behind it.
    fn is_near(&self, next: &Self) -> bool {
        let end = self.at + self.length;
        self.segment == next.segment && next.at.saturating_sub(end) < GAP
    }
}

/// The records of a group; `None`: it was removed.
pub(super) type Parts = HashMap<Vec<u8>, Option<Part>>;

/// A key and its value as stored.
type Record = (Box<[u8]>, Vec<u8>);

/// What is known of a record without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    /// Of its last commit.
    pub(super) version: Version,
    /// What it adds to the [`Content`].
    pub(super) hash: Hash,
}

impl Known {
    /// Of a value as stored.
    pub(super) fn of(key: &[u8], value: &[u8]) -> Self {
        let version = value.first_chunk().map_or(0, |v| u64::from_be_bytes(*v));
        Self {
            version: Version(version),
            hash: hash(key, value),
        }
    }
}

/// Where in a group a value begins, its length, and what is known of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) at: usize,
    pub(super) length: usize,
    pub(super) known: Known,
}

/// Records that are written again, as a group without commits.
#[derive(Default)]
pub(super) struct Moved {
    group: Group,
    parts: Parts,
}

impl Moved {
    pub(super) fn add(&mut self, key: &[u8], value: &[u8]) {
        let part = Part {
            at: self.group.change(key, Some(value)),
            length: value.len(),
            known: Known::of(key, value),
        };
        self.parts.insert(key.to_vec(), Some(part));
    }

    /// Bytes of them.
    pub(super) fn len(&self) -> usize {
        self.group.len()
    }

    /// Makes them durable after the commits up to `mark`; none is in it then.
    pub(super) fn write(
        &mut self,
        journal: &mut Journal,
        mark: &Mark,
        table: &Table,
    ) -> io::Result<()> {
        let written = journal.write(&mut self.group, mark.sequence + 1, mark)?;
        journal.sync()?;
        self.group.clear();
        table.put(std::mem::take(&mut self.parts), written)
    }
}

struct Segment {
    file: Arc<File>,
    /// Bytes of keys and values that are in use.
    live: u64,
}

#[derive(Default)]
struct Inner {
    places: BTreeMap<Box<[u8]>, (Place, Known)>,
    segments: BTreeMap<u32, Segment>,
    live: u64,
    content: Content,
}

/// A moment of the table.
pub(super) struct Snapshot {
    places: Vec<(Box<[u8]>, Place)>,
    files: OpenFiles,
}

/// The journal's files at a moment; they can be read when they are removed.
struct OpenFiles(BTreeMap<u32, Arc<File>>);

impl OpenFiles {
    fn read(&self, place: Place) -> io::Result<Vec<u8>> {
        let file = self.0.get(&place.segment);
        read(file.ok_or(io::ErrorKind::NotFound)?, place)
    }
}

/// Where each record is. One thread changes it, others read.
#[derive(Default)]
pub(super) struct Table(RwLock<Inner>);

/// Whether a record belongs here, by its key.
pub(super) fn holds(key: &[u8]) -> bool {
    const KINDS: [Kind; 3] = [Kind::REGISTRATION, Kind::ASSOCIATION, Kind::OSCORE];
    key.get(2).is_some_and(|kind| KINDS.contains(&Kind(*kind)))
}

fn size(key: &[u8], place: &Place) -> u64 {
    key.len() as u64 + u64::from(place.length)
}

fn read(file: &File, place: Place) -> io::Result<Vec<u8>> {
    let mut value = vec![0; place.length as usize];
    file.read_exact_at(&mut value, u64::from(place.at))?;
    Ok(value)
}

impl Inner {
    fn files(&self) -> OpenFiles {
        let segments = self.segments.iter();
        OpenFiles(
            segments
                .map(|(number, segment)| (*number, Arc::clone(&segment.file)))
                .collect(),
        )
    }

    fn file(&self, place: Place) -> io::Result<Arc<File>> {
        let segment = self.segments.get(&place.segment);
        let file = segment.map(|segment| Arc::clone(&segment.file));
        file.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }

    fn set(&mut self, key: &[u8], place: Option<(Place, Known)>) {
        let old = match place {
            Some((place, known)) => {
                self.count(key, &place, u64::wrapping_add);
                self.content.add_hash(known.hash);
                match self.places.get_mut(key) {
                    Some(old) => Some(std::mem::replace(old, (place, known))),
                    None => self.places.insert(key.into(), (place, known)),
                }
            }
            None => self.places.remove(key),
        };
        if let Some((place, known)) = old {
            self.count(key, &place, u64::wrapping_sub);
            self.content.remove_hash(known.hash);
        }
    }

    fn count(&mut self, key: &[u8], place: &Place, change: fn(u64, u64) -> u64) {
        let size = size(key, place);
        self.live = change(self.live, size);
        if let Some(segment) = self.segments.get_mut(&place.segment) {
            segment.live = change(segment.live, size);
        }
    }
}

impl Table {
    fn look(&self) -> RwLockReadGuard<'_, Inner> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self) -> RwLockWriteGuard<'_, Inner> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// A file of the journal.
    pub(super) fn add(&self, number: u64, file: Arc<File>) -> io::Result<()> {
        let number = Place::new(number, 0, 0)?.segment;
        let segment = Segment { file, live: 0 };
        self.change().segments.insert(number, segment);
        Ok(())
    }

    /// The file that is written.
    pub(super) fn add_current(&self, journal: &Journal) -> io::Result<()> {
        let (number, file) = journal.current();
        self.add(number, file)
    }

    /// Every record that a file of the journal changes.
    pub(super) fn replay(&self, number: u64, content: &journal::Content) -> io::Result<()> {
        let mut inner = self.change();
        for change in content.changes() {
            if holds(change.key) {
                let place = change.value.map(|value| {
                    let place = Place::new(number, change.at, value.len())?;
                    io::Result::Ok((place, Known::of(change.key, value)))
                });
                inner.set(change.key, place.transpose()?);
            }
        }
        Ok(())
    }

    /// The records of a group that was written.
    pub(super) fn put(&self, parts: Parts, written: Written) -> io::Result<()> {
        let mut inner = self.change();
        for (key, part) in parts {
            let place = part.map(|part| {
                let at = written.at as usize + part.at;
                let place = Place::new(written.segment, at, part.length)?;
                io::Result::Ok((place, part.known))
            });
            inner.set(&key, place.transpose()?);
        }
        Ok(())
    }

    /// All records together.
    pub(super) fn content(&self) -> Content {
        self.look().content
    }

    /// What is known of a record.
    pub(super) fn known(&self, key: &[u8]) -> Option<Known> {
        self.look().places.get(key).map(|(_, known)| *known)
    }

    /// The value of a record as stored.
    pub(super) fn get(&self, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let (file, place) = {
            let inner = self.look();
            let Some((place, _)) = inner.places.get(key) else {
                return Ok(None);
            };
            (inner.file(*place)?, *place)
        };
        read(&file, place).map(Some)
    }

    /// Records whose keys begin with `prefix`, in order, from `from` on.
    pub(super) fn page(
        &self,
        prefix: &[u8],
        from: Bound<&[u8]>,
        limit: usize,
    ) -> io::Result<Vec<Record>> {
        let (mut page, mut places, files) = {
            let inner = self.look();
            let all = inner.places.range::<[u8], _>((from, Bound::Unbounded));
            let found = all
                .take_while(|(key, _)| key.starts_with(prefix))
                .take(limit);
            let mut page: Vec<Record> = Vec::new();
            let mut places = Vec::new();
            for (key, (place, _)) in found {
                places.push((*place, page.len()));
                page.push((key.clone(), Vec::new()));
            }
            (page, places, inner.files())
        };
        places.sort_unstable();
        let near = |(a, _): &(Place, usize), (b, _): &(Place, usize)| a.is_near(b);
        for run in places.chunk_by(near).flat_map(|run| run.chunks(RUN)) {
            let [(first, _), ..] = run else { continue };
            let end = run.iter().map(|(place, _)| place.at + place.length).max();
            let length = end.map_or(0, |end| end - first.at);
            let bytes = files.read(Place { length, ..*first })?;
            for (place, index) in run {
                let begin = (place.at - first.at) as usize;
                let value = bytes.get(begin..begin + place.length as usize);
                let entry = page.get_mut(*index).zip(value);
                if let Some(((_, to), value)) = entry {
                    to.extend_from_slice(value);
                }
            }
        }
        Ok(page)
    }

    /// All records as they are now; their values are read later.
    pub(super) fn snapshot(&self) -> Snapshot {
        let inner = self.look();
        let places = inner.places.iter();
        Snapshot {
            places: places
                .map(|(key, (place, _))| (key.clone(), *place))
                .collect(),
            files: inner.files(),
        }
    }

    /// The oldest file, if there are more than are needed.
    pub(super) fn surplus(&self) -> Option<u64> {
        let inner = self.look();
        let (oldest, _) = inner.segments.first_key_value()?;
        let enough = SPARE + 2 * inner.live / FULL;
        (inner.segments.len() as u64 > enough).then_some(u64::from(*oldest))
    }

    /// The records that are in a file.
    ///
    /// # Errors
    /// It does not have what it should.
    pub(super) fn living<'a>(
        &self,
        number: u64,
        content: &'a journal::Content,
    ) -> io::Result<Vec<(&'a [u8], &'a [u8])>> {
        let inner = self.look();
        let mut found = Vec::new();
        let mut left = u32::try_from(number)
            .ok()
            .and_then(|number| inner.segments.get(&number))
            .map_or(0, |segment| segment.live);
        if left == 0 {
            return Ok(found);
        }
        for change in content.changes() {
            let Some(value) = change.value else { continue };
            let place = Place::new(number, change.at, value.len())?;
            if inner.places.get(change.key).map(|(place, _)| *place) == Some(place) {
                found.push((change.key, value));
                left = left.wrapping_sub(size(change.key, &place));
            }
        }
        if left != 0 {
            let text = format!("file {number} of the journal is damaged");
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        Ok(found)
    }

    /// A file of which nothing is in use.
    pub(super) fn forget(&self, number: u64) {
        if let Ok(number) = u32::try_from(number) {
            self.change().segments.remove(&number);
        }
    }
}

impl Snapshot {
    /// Each key and value, in order.
    pub(super) fn read(&self) -> impl Iterator<Item = io::Result<(&[u8], Vec<u8>)>> {
        let places = self.places.iter();
        places.map(|(key, place)| Ok((&**key, self.files.read(*place)?)))
    }
}
