//! Opening the database and proving that nothing is missing.

use std::fs::{self, File};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};

use super::journal::{self, Journal};
use super::replay::Found;
use super::segments;
use super::table::{Moved, Table};
use super::value::{self, sequence_key};
use crate::loss::judge;
use crate::proof::{Proof, ProofFile};
use crate::{Loss, Mark, StoreError, private};

/// How often, ten times a second, a store that is locked is tried again.
const OPEN_TRIES: u32 = 20;

/// Where things are in the folder of a store.
pub(super) fn records(folder: &Path) -> PathBuf {
    folder.join("records")
}

pub(super) fn proof(folder: &Path) -> PathBuf {
    folder.join("proof")
}

pub(super) fn journal(folder: &Path) -> PathBuf {
    folder.join("journal")
}

/// A database that lacks nothing, or whose loss was accepted.
pub(super) struct Opened {
    pub(super) db: ::sled::Db,
    /// sled's own file.
    pub(super) file: File,
    pub(super) mark: Mark,
    pub(super) proof: ProofFile,
    pub(super) journal: Journal,
}

pub(super) fn open(folder: &Path, accept_loss: bool) -> Result<(Opened, Table), StoreError> {
    for folder in [folder, &records(folder)] {
        private::folder(folder).map_err(value::io)?;
    }
    let proven = Proof::read(&proof(folder)).map_err(value::io)?;
    let (mut found, loss) = match look(&records(folder), &journal(folder)) {
        Ok(found) => {
            let loss = judge(found.claim, &found.here, proven).err();
            (Some(found), loss)
        }
        Err(StoreError::Lost(loss)) => (None, Some(loss)),
        Err(error) => return Err(error),
    };
    if let Some(loss) = &loss {
        if !accept_loss {
            return Err(loss.clone().into());
        }
        tracing::warn!("going on with a store that has lost data: {loss}");
        if found.is_none() {
            set_aside(&records(folder))?;
            private::folder(&records(folder)).map_err(value::io)?;
            found = Some(look(&records(folder), &journal(folder))?);
        }
    }
    let Some(found) = found else {
        return Err(StoreError::Closed);
    };
    found.complete()?;
    let mut mark = found.here;
    if let Proof::Mark(proven) = proven {
        // A number is never given twice, also if what had it is lost.
        mark.sequence = mark.sequence.max(proven.sequence);
    }
    let file = File::open(records(folder).join("db")).map_err(value::io)?;
    // The names of new files must be durable too.
    for folder in [folder, &records(folder)] {
        File::open(folder)
            .and_then(|f| f.sync_all())
            .map_err(value::io)?;
    }
    // The proof first: a mark without a proof would be a loss.
    let proof = ProofFile::create(&proof(folder), &mark).map_err(value::io)?;
    let next = found.files.last().map_or(0, |(number, _)| number + 1);
    let next = next.max(segments::FIRST);
    let mut journal = Journal::create(&journal(folder), next).map_err(value::io)?;
    found.table.add_current(&journal).map_err(value::io)?;
    let rewritten = loss.is_some() || found.is_old();
    if rewritten {
        rewrite(&found, folder, &mut journal, &mark)?;
        found.tidy()?;
    }
    let Found {
        db, table, files, ..
    } = found;
    if mark != Mark::default() {
        db.insert(sequence_key(), &mark.to_bytes()[..])
            .map_err(value::io)?;
        db.flush().map_err(value::io)?;
        file.sync_data().map_err(value::io)?;
    }
    // Only now.
    for (number, used) in &files {
        if rewritten || !used {
            table.forget(*number);
        }
    }
    if loss.is_some() {
        let aside = free_name(&self::journal(folder))?;
        private::folder(&aside).map_err(value::io)?;
        for (number, _) in files {
            let file = segments::path(&self::journal(folder), number);
            fs::rename(file, segments::path(&aside, number)).map_err(value::io)?;
        }
        for folder in [&self::journal(folder), &aside, folder] {
            File::open(folder)
                .and_then(|f| f.sync_all())
                .map_err(value::io)?;
        }
    } else {
        let needless = files.into_iter().filter(|(_, used)| rewritten || !used);
        needless.for_each(|(number, _)| journal.remove(number));
    }
    let opened = Opened {
        db,
        file,
        mark,
        proof,
        journal,
    };
    Ok((opened, table))
}

/// Writes all records of the table into new files.
fn rewrite(
    found: &Found,
    folder: &Path,
    journal: &mut Journal,
    mark: &Mark,
) -> Result<(), StoreError> {
    let mut moved = Moved::default();
    for (key, value) in &found.moving {
        moved.add(key, value);
        write(&mut moved, segments::FULL, found, journal, mark)?;
    }
    for (number, _) in &found.files {
        let path = segments::path(&self::journal(folder), *number);
        let content = journal::Content::new(fs::read(path).map_err(value::io)?);
        let living = found.table.living(*number, &content);
        for (key, value) in living.map_err(value::io)? {
            moved.add(key, value);
            write(&mut moved, segments::FULL, found, journal, mark)?;
        }
    }
    write(&mut moved, 1, found, journal, mark)
}

/// Makes records durable if they have at least so many bytes.
fn write(
    moved: &mut Moved,
    least: u64,
    found: &Found,
    journal: &mut Journal,
    mark: &Mark,
) -> Result<(), StoreError> {
    if (moved.len() as u64) < least {
        return Ok(());
    }
    if journal.is_full() {
        journal.turn().map_err(value::io)?;
        found.table.add_current(journal).map_err(value::io)?;
    }
    let written = moved.write(journal, mark, &found.table);
    written.map_err(value::io)
}

/// Compares a copy of the database with its proof, and leaves the store as it is.
pub(super) fn check(folder: &Path) -> Result<(Mark, Option<Loss>), StoreError> {
    let records = records(folder);
    if !records.is_dir() {
        let error = io::Error::from(io::ErrorKind::NotFound);
        return Err(StoreError::Io(format!("{}: {error}", records.display())));
    }
    // sled's own lock, so that nobody writes while it is copied.
    let lock = when_free(|| {
        let Ok(file) = File::open(records.join("db")) else {
            return Ok(None);
        };
        let lock = Flock::lock(file, FlockArg::LockSharedNonblock);
        lock.map(Some).map_err(|_| StoreError::InUse)
    })?;
    let copy = folder.join(format!("tmp-check-{}", std::process::id()));
    let looked = copy_folder(&records, &copy)
        .and_then(|()| Proof::read(&proof(folder)))
        .map_err(value::io)
        .map(|proven| (proven, look(&copy, &journal(folder))));
    drop(lock);
    let result = looked.and_then(|(proven, found)| match found {
        Ok(found) => {
            let loss = judge(found.claim, &found.here, proven).err();
            Ok((found.here, loss))
        }
        Err(StoreError::Lost(loss)) => Ok((Mark::default(), Some(loss))),
        Err(error) => Err(error),
    });
    let _ = fs::remove_dir_all(&copy);
    result
}

fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    private::folder(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}

/// Keeps what can't be read under another name.
fn set_aside(records: &Path) -> Result<(), StoreError> {
    fs::rename(records, free_name(records)?).map_err(value::io)
}

/// A name for what is damaged of `folder`.
fn free_name(folder: &Path) -> Result<PathBuf, StoreError> {
    let mut names = (1..1000).map(|n| folder.with_extension(format!("damaged-{n}")));
    let free = names.find(|name| !name.exists());
    free.ok_or_else(|| value::io(io::Error::from(io::ErrorKind::AlreadyExists)))
}

/// Opens a database, and reads all of it and of the journal. sled panics on some damaged files.
fn look(records: &Path, journal: &Path) -> Result<Found, StoreError> {
    let unreadable = |text: String| StoreError::Lost(Loss::Unreadable(text));
    let found = || Found::read(connect(records)?, journal);
    catch_unwind(AssertUnwindSafe(found)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        let text = text.unwrap_or("it panics").lines().next();
        Err(unreadable(text.unwrap_or_default().to_owned()))
    })
}

fn connect(records: &Path) -> Result<::sled::Db, StoreError> {
    let config = ::sled::Config::new()
        .path(records)
        .cache_capacity(64 << 20)
        .flush_every_ms(None);
    when_free(|| {
        config.open().map_err(|error| {
            if error.to_string().contains("acquire lock") {
                return StoreError::InUse;
            }
            value::unreadable(&error)
        })
    })
}

/// Tries again for a while: sled gives its lock up a little after its last handle is dropped, and a
/// process that is being replaced a little after its successor begins.
fn when_free<T>(mut take: impl FnMut() -> Result<T, StoreError>) -> Result<T, StoreError> {
    for _ in 0..OPEN_TRIES {
        match take() {
            Err(StoreError::InUse) => std::thread::sleep(Duration::from_millis(100)),
            result => return result,
        }
    }
    take()
}
