//! A store from a backup.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use super::open;
use super::value::sequence_key;
use crate::archive::{self, ArchiveError, Sink, Summary};
use crate::proof::ProofFile;
use crate::{Digest, Files, private};

/// Records that are written together.
const GROUP: usize = 1024;

/// Makes the store `folder`, which must be absent or empty, from an archive: all of it or nothing.
pub(super) fn restore(from: impl Read, folder: &Path) -> Result<Summary, ArchiveError> {
    if fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
        let error = io::Error::new(
            io::ErrorKind::AlreadyExists,
            format!("{} is not empty", folder.display()),
        );
        return Err(error.into());
    }
    let mut name = folder.as_os_str().to_owned();
    name.push(".restoring");
    let beside = Path::new(&name);
    let _ = fs::remove_dir_all(beside);
    let summary = fill(from, beside).inspect_err(|_| {
        let _ = fs::remove_dir_all(beside);
    })?;
    let _ = fs::remove_dir(folder);
    fs::rename(beside, folder)?;
    let parent = folder.parent().filter(|path| !path.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()?;
    Ok(summary)
}

fn fill(from: impl Read, folder: &Path) -> Result<Summary, ArchiveError> {
    let records = open::records(folder);
    for folder in [folder, &records] {
        private::folder(folder)?;
    }
    let config = ::sled::Config::new().path(&records).flush_every_ms(None);
    let mut target = Target {
        db: config.open().map_err(failed)?,
        group: ::sled::Batch::default(),
        waiting: 0,
        files: Files::open(&folder.join("files"))?,
    };
    let summary = archive::read(from, &mut target)?;
    let mark = summary.mark.to_bytes();
    target.group.insert(sequence_key(), &mark[..]);
    target.write()?;
    target.db.flush().map_err(failed)?;
    drop(target);
    File::open(records.join("db"))?.sync_all()?;
    File::open(&records)?.sync_all()?;
    ProofFile::create(&open::proof(folder), &summary.mark)?;
    Ok(summary)
}

fn failed(error: ::sled::Error) -> io::Error {
    match error {
        ::sled::Error::Io(error) => error,
        error => io::Error::other(error.to_string()),
    }
}

struct Target {
    db: ::sled::Db,
    group: ::sled::Batch,
    waiting: usize,
    files: Files,
}

impl Target {
    fn write(&mut self) -> io::Result<()> {
        self.waiting = 0;
        let group = std::mem::take(&mut self.group);
        self.db.apply_batch(group).map_err(failed)
    }
}

impl Sink for Target {
    fn record(&mut self, key: Vec<u8>, value: Vec<u8>) -> io::Result<()> {
        self.group.insert(key, value);
        self.waiting += 1;
        if self.waiting == GROUP {
            self.write()?;
        }
        Ok(())
    }

    fn file(&mut self, digest: Digest, content: &mut dyn Read) -> io::Result<()> {
        self.files.put_as(&digest, content)
    }
}
