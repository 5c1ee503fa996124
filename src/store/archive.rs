//! A backup: all records of one moment and the files they name, as one stream of bytes.
//!
//! A magic of 8 bytes; then items, each with its kind in a byte: 1 is a record (length of the key
//! as u16, length of the value as u32, key, value), 2 a file (its digest, its length as u64, its
//! content), 0 the end (number of the last commit, number of records, sum of their hashes, number
//! of files as u64). The SHA-256 of all before closes the stream. Numbers are big endian.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest as _, Sha256};

use crate::{Content, Digest, Files, MAX_ID, MAX_RECORD, Mark};

const MAGIC: &[u8; 8] = b"TSMbak01";
const END: u8 = 0;
const RECORD: u8 = 1;
const FILE: u8 = 2;

/// Why an archive can't be read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It is something else, or was cut off or changed.
    #[error("not a backup, or damaged: {0}")]
    Damaged(&'static str),
    /// Reading or writing failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What an archive has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// The last commit, and the records.
    pub mark: Mark,
    /// Number of files.
    pub files: u64,
    /// Files that were left out since their content is not what their name says.
    pub damaged: u64,
}

/// Records on their way into an archive, in a file without a name.
pub struct Records {
    out: BufWriter<File>,
    pub(crate) mark: Mark,
}

static TEMPORARY: AtomicU64 = AtomicU64::new(0);

impl Records {
    /// None yet. The file is in `folder`.
    ///
    /// # Errors
    /// It can't be made.
    pub fn new(folder: &Path) -> io::Result<Self> {
        let n = TEMPORARY.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!("tmp-backup-{}-{n}", std::process::id()));
        let mut options = File::options();
        let file = options
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)?;
        std::fs::remove_file(&path)?;
        Ok(Self {
            out: BufWriter::new(file),
            mark: Mark::default(),
        })
    }

    pub(crate) fn record(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        let long = |_| io::Error::from(io::ErrorKind::InvalidInput);
        let key_length = u16::try_from(key.len()).map_err(long)?;
        let length = u32::try_from(value.len()).map_err(long)?;
        self.out.write_all(&[RECORD])?;
        self.out.write_all(&key_length.to_be_bytes())?;
        self.out.write_all(&length.to_be_bytes())?;
        self.out.write_all(key)?;
        self.out.write_all(value)
    }
}

struct Hashing<T> {
    inner: T,
    hash: Sha256,
}

impl<T: Write> Hashing<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        self.inner.write_all(bytes)
    }

    fn copy(&mut self, from: &mut dyn Read, length: Option<u64>) -> io::Result<()> {
        let mut piece = vec![0; 64 * 1024];
        let mut left = length;
        loop {
            let most = left.map_or(piece.len(), |left| piece.len().min(left as usize));
            let n = from.read(&mut piece[..most])?;
            if n == 0 {
                return match left {
                    None | Some(0) => Ok(()),
                    Some(_) => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
                };
            }
            self.write(&piece[..n])?;
            left = left.map(|left| left - n as u64);
        }
    }
}

impl<T: Read> Hashing<T> {
    fn read<const N: usize>(&mut self) -> Result<[u8; N], ArchiveError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), ArchiveError> {
        self.inner.read_exact(bytes).map_err(cut)?;
        self.hash.update(bytes);
        Ok(())
    }

    fn bytes(&mut self, length: usize) -> Result<Vec<u8>, ArchiveError> {
        let mut bytes = vec![0; length];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }
}

fn cut(error: io::Error) -> ArchiveError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => ArchiveError::Damaged("it is cut off"),
        _ => error.into(),
    }
}

/// Writes an archive of exported records and of all files.
///
/// # Errors
/// Reading a file, or writing.
pub fn write(records: Records, files: &Files, to: impl Write) -> io::Result<Summary> {
    let Records { out, mark } = records;
    let mut exported = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    exported.rewind()?;
    let hash = Sha256::new();
    let mut out = Hashing { inner: to, hash };
    out.write(MAGIC)?;
    out.copy(&mut exported, None)?;
    let mut summary = Summary {
        mark,
        ..Summary::default()
    };
    for digest in files.list()? {
        if !files.verify(&digest)? {
            summary.damaged += 1;
            continue;
        }
        let mut file = File::open(files.path(&digest))?;
        let length = file.metadata()?.len();
        out.write(&[FILE])?;
        out.write(&digest.0)?;
        out.write(&length.to_be_bytes())?;
        out.copy(&mut file, Some(length))?;
        summary.files += 1;
    }
    out.write(&[END])?;
    out.write(&mark.to_bytes())?;
    out.write(&summary.files.to_be_bytes())?;
    let hash = out.hash.finalize();
    out.inner.write_all(&hash)?;
    out.inner.flush()?;
    Ok(summary)
}

/// Reads an archive to its end.
///
/// # Errors
/// It is damaged, or can't be read.
pub fn verify(from: impl Read) -> Result<Summary, ArchiveError> {
    struct Nowhere;
    impl Sink for Nowhere {
        fn record(&mut self, _: Vec<u8>, _: Vec<u8>) -> io::Result<()> {
            Ok(())
        }

        fn file(&mut self, _: Digest, content: &mut dyn Read) -> io::Result<()> {
            io::copy(content, &mut io::sink()).map(|_| ())
        }
    }
    read(from, &mut Nowhere)
}

/// Where the parts of an archive go.
pub(crate) trait Sink {
    fn record(&mut self, key: Vec<u8>, value: Vec<u8>) -> io::Result<()>;
    fn file(&mut self, digest: Digest, content: &mut dyn Read) -> io::Result<()>;
}

/// Reads an archive. What the sink was given counts only if this succeeds.
pub(crate) fn read(from: impl Read, sink: &mut dyn Sink) -> Result<Summary, ArchiveError> {
    let hash = Sha256::new();
    let inner = BufReader::new(from);
    let mut input = Hashing { inner, hash };
    if input.read::<8>()? != *MAGIC {
        return Err(ArchiveError::Damaged("it does not begin as one"));
    }
    let mut content = Content::default();
    let mut files = 0;
    loop {
        match input.read::<1>()? {
            [RECORD] => {
                let key = usize::from(u16::from_be_bytes(input.read()?));
                let value = u32::from_be_bytes(input.read()?) as usize;
                if key > MAX_ID + 3 || value > MAX_RECORD + 8 {
                    return Err(ArchiveError::Damaged("a record is too long"));
                }
                let (key, value) = (input.bytes(key)?, input.bytes(value)?);
                content.add(&key, &value);
                sink.record(key, value)?;
            }
            [FILE] => {
                let digest = Digest(input.read()?);
                let left = u64::from_be_bytes(input.read()?);
                let mut part = Part {
                    input: &mut input,
                    left,
                };
                sink.file(digest, &mut part).map_err(cut)?;
                files += 1;
            }
            [END] => break,
            _ => return Err(ArchiveError::Damaged("an item of no known kind")),
        }
    }
    let mark = Mark::from_bytes(&input.read::<{ Mark::BYTES }>()?).unwrap_or_default();
    let expected = u64::from_be_bytes(input.read()?);
    let hash: [u8; 32] = input.hash.clone().finalize().into();
    if input.read::<32>()? != hash || expected != files || mark.content != content {
        return Err(ArchiveError::Damaged(
            "its content is not what its end says",
        ));
    }
    Ok(Summary {
        mark,
        files,
        damaged: 0,
    })
}

/// The content of one file.
struct Part<'a, T> {
    input: &'a mut Hashing<T>,
    left: u64,
}

impl<T: Read> Read for Part<'_, T> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).map_or(to.len(), |left| left.min(to.len()));
        let n = self.input.inner.read(&mut to[..most])?;
        if n == 0 && most > 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
        }
        self.input.hash.update(&to[..n]);
        self.left -= n as u64;
        Ok(n)
    }
}
