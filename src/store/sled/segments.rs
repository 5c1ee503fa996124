//! The files of the journal: the next one is made while the one before is written, so that a group
//! seldom changes what the file system knows of a file, and old ones are removed.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use nix::fcntl::OFlag;

use super::blocks::Blocks;
use crate::private;

/// Files that may wait to be removed.
const QUEUE: usize = 64;

/// Bytes of the largest files.
pub(super) const FULL: u64 = 4 << 20;
/// Bytes of the first after a start; each has twice those of the one before.
const SMALL: u64 = 256 << 10;
/// Files of the version before have numbers below.
pub(super) const FIRST: u64 = 2;

/// Where the file with a number is.
pub(super) fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(number.to_string())
}

/// A file of the journal.
pub(super) struct Segment {
    pub(super) number: u64,
    /// To read.
    pub(super) file: Arc<File>,
    /// To write.
    pub(super) to: File,
    /// Whether a write goes past the kernel's cache, and is durable when it returns.
    pub(super) direct: bool,
    /// With this many bytes of groups it is full.
    pub(super) capacity: u64,
}

enum Request {
    Next,
    Remove(u64),
}

/// A thread that makes and removes files, in the order of the calls.
pub(super) struct Segments {
    requests: Option<mpsc::SyncSender<Request>>,
    made: mpsc::Receiver<io::Result<Segment>>,
    thread: Option<JoinHandle<()>>,
}

impl Segments {
    /// Files in `folder`; the first that is made is `number`.
    pub(super) fn start(folder: &Path, number: u64) -> io::Result<Self> {
        private::folder(folder)?;
        let (requests, asked) = mpsc::sync_channel(QUEUE);
        let (give, made) = mpsc::channel();
        let mut maker = Maker {
            folder: folder.to_path_buf(),
            number,
            capacity: SMALL,
        };
        let thread = std::thread::Builder::new()
            .name("store-files".to_owned())
            .spawn(move || {
                for request in asked {
                    match request {
                        Request::Next => drop(give.send(maker.make())),
                        Request::Remove(number) => maker.remove(number),
                    }
                }
            })?;
        let segments = Self {
            requests: Some(requests),
            made,
            thread: Some(thread),
        };
        segments.ask(Request::Next);
        Ok(segments)
    }

    fn ask(&self, request: Request) {
        if let Some(requests) = &self.requests {
            // The thread lives as long as this.
            let _ = requests.send(request);
        }
    }

    /// The next file, empty. After an error it can be asked for again.
    pub(super) fn next(&self) -> io::Result<Segment> {
        let mut made = self.made.recv().map_err(io::Error::other)?;
        self.ask(Request::Next);
        if made.is_err() {
            // That may have been long ago.
            made = self.made.recv().map_err(io::Error::other)?;
            self.ask(Request::Next);
        }
        made
    }

    pub(super) fn remove(&self, number: u64) {
        self.ask(Request::Remove(number));
    }
}

impl Drop for Segments {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A handle that writes past the kernel's cache, one write and no sync for each group. Not every file
/// system has it.
fn direct(path: &Path) -> io::Result<File> {
    let flags = OFlag::O_DIRECT | OFlag::O_DSYNC;
    let mut options = File::options();
    let file = options.write(true).custom_flags(flags.bits()).open(path)?;
    Blocks::default().write(&file, &[0], 0)?;
    Ok(file)
}

struct Maker {
    folder: PathBuf,
    number: u64,
    capacity: u64,
}

impl Maker {
    fn make(&mut self) -> io::Result<Segment> {
        let path = path(&self.folder, self.number);
        let made = private::file(&path).and_then(|mut to| {
            to.write_all(&vec![0; self.capacity as usize])?;
            to.sync_all()?;
            File::open(&self.folder)?.sync_all()?;
            Ok((to, Arc::new(File::open(&path)?)))
        });
        let (buffered, file) = made.inspect_err(|_| drop(fs::remove_file(&path)))?;
        let (number, capacity) = (self.number, self.capacity);
        self.number += 1;
        self.capacity = FULL.min(2 * capacity);
        let to = direct(&path);
        Ok(Segment {
            number,
            file,
            capacity,
            direct: to.is_ok(),
            to: to.unwrap_or(buffered),
        })
    }

    /// Durable before the next one: the removal of a record is in a later file than the record.
    fn remove(&self, number: u64) {
        let removed = fs::remove_file(path(&self.folder, number))
            .and_then(|()| File::open(&self.folder)?.sync_all());
        if let Err(error) = removed {
            tracing::warn!(%error, number, "a file of the journal can't be removed");
        }
    }
}
