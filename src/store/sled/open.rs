//! Opening the database and proving that nothing is missing.

use std::fs::{self, File};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::value::{self, sequence_key};
use crate::loss::{Claim, judge};
use crate::proof::{Proof, ProofFile};
use crate::{Content, Loss, Mark, StoreError, private};

/// How often, ten times a second, a store that is locked is tried again.
const OPEN_TRIES: u32 = 20;

/// Where things are in the folder of a store.
pub(super) fn records(folder: &Path) -> PathBuf {
    folder.join("records")
}

pub(super) fn proof(folder: &Path) -> PathBuf {
    folder.join("proof")
}

/// A database that lacks nothing, or whose loss was accepted.
pub(super) struct Opened {
    pub(super) db: ::sled::Db,
    /// sled's own file.
    pub(super) file: File,
    pub(super) mark: Mark,
    pub(super) proof: ProofFile,
}

/// What is in a database.
pub(super) struct Found {
    db: ::sled::Db,
    claim: Claim,
    /// The number of its last commit, and what it has.
    here: Mark,
}

pub(super) fn open(folder: &Path, accept_loss: bool) -> Result<Opened, StoreError> {
    for folder in [folder, &records(folder)] {
        private::folder(folder).map_err(value::io)?;
    }
    let proven = Proof::read(&proof(folder)).map_err(value::io)?;
    let (mut found, loss) = match look(&records(folder)) {
        Ok(found) => {
            let loss = judge(found.claim, &found.here, proven).err();
            (Some(found), loss)
        }
        Err(StoreError::Lost(loss)) => (None, Some(loss)),
        Err(error) => return Err(error),
    };
    if let Some(loss) = loss {
        if !accept_loss {
            return Err(loss.into());
        }
        tracing::warn!("going on with a store that has lost data: {loss}");
        if found.is_none() {
            set_aside(&records(folder)).map_err(value::io)?;
            private::folder(&records(folder)).map_err(value::io)?;
            found = Some(look(&records(folder))?);
        }
    }
    let Some(Found { db, claim, here }) = found else {
        return Err(StoreError::Closed);
    };
    let mut mark = here;
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
    if claim != Claim::Mark(mark) && mark != Mark::default() {
        db.insert(sequence_key(), &mark.to_bytes()[..])
            .and_then(|_| db.flush())
            .map_err(value::io)?;
        file.sync_data().map_err(value::io)?;
    }
    Ok(Opened {
        db,
        file,
        mark,
        proof,
    })
}

/// Compares a copy of the database with its proof, and leaves the store as it is.
pub(super) fn check(folder: &Path) -> Result<(Mark, Option<Loss>), StoreError> {
    let records = records(folder);
    if !records.is_dir() {
        let error = io::Error::from(io::ErrorKind::NotFound);
        return Err(StoreError::Io(format!("{}: {error}", records.display())));
    }
    // sled's own lock, so that nobody writes while it is copied.
    let lock = match File::open(records.join("db")) {
        Ok(file) => Some(
            nix::fcntl::Flock::lock(file, nix::fcntl::FlockArg::LockSharedNonblock)
                .map_err(|_| StoreError::InUse)?,
        ),
        Err(_) => None,
    };
    let copy = folder.join(format!("tmp-check-{}", std::process::id()));
    let looked = copy_folder(&records, &copy)
        .and_then(|()| Proof::read(&proof(folder)))
        .map_err(value::io)
        .map(|proven| (proven, look(&copy)));
    drop(lock);
    let result = looked.and_then(|(proven, found)| match found {
        Ok(found) => Ok((found.here, judge(found.claim, &found.here, proven).err())),
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
fn set_aside(records: &Path) -> io::Result<()> {
    let names = (1..1000).map(|n| records.with_extension(format!("damaged-{n}")));
    for name in names {
        if !name.exists() {
            return fs::rename(records, name);
        }
    }
    Err(io::Error::from(io::ErrorKind::AlreadyExists))
}

/// Opens a database and reads all of it. sled panics on some damaged files.
fn look(records: &Path) -> Result<Found, StoreError> {
    let unreadable = |text: String| StoreError::Lost(Loss::Unreadable(text));
    catch_unwind(AssertUnwindSafe(|| look_at(records))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        let text = text.unwrap_or("it panics").lines().next();
        Err(unreadable(text.unwrap_or_default().to_owned()))
    })
}

fn look_at(records: &Path) -> Result<Found, StoreError> {
    let config = ::sled::Config::new()
        .path(records)
        .cache_capacity(64 << 20)
        .flush_every_ms(None);
    let mut tries = 0;
    let db = loop {
        match config.open() {
            Ok(db) => break db,
            // sled gives its lock up a little after its last handle is dropped, and a process
            // that is being replaced a little after its successor begins.
            Err(error) if error.to_string().contains("acquire lock") => {
                if tries == OPEN_TRIES {
                    return Err(StoreError::InUse);
                }
                tries += 1;
                std::thread::sleep(Duration::from_millis(100));
            }
            Err(error) => return Err(failed(&error)),
        }
    };
    let mut claim = Claim::None;
    let mut content = Content::default();
    let own = sequence_key();
    for item in db.iter() {
        let (key, value) = item.map_err(|error| failed(&error))?;
        if key == own {
            claim = claimed(&value)?;
        } else {
            content.add(&key, &value);
        }
    }
    let sequence = match claim {
        Claim::None => 0,
        Claim::Sequence(sequence) => sequence,
        Claim::Mark(mark) => mark.sequence,
    };
    Ok(Found {
        db,
        claim,
        here: Mark { sequence, content },
    })
}

fn claimed(value: &[u8]) -> Result<Claim, StoreError> {
    if let Ok(sequence) = value.try_into() {
        return Ok(Claim::Sequence(u64::from_be_bytes(sequence)));
    }
    let text = || Loss::Unreadable("the number of its last commit can't be read".to_owned());
    let mark = Mark::from_bytes(value).ok_or_else(text)?;
    Ok(Claim::Mark(mark))
}

/// What the system refuses is no damage.
fn failed(error: &::sled::Error) -> StoreError {
    match error {
        ::sled::Error::Io(io) if io.raw_os_error().is_some() => value::io(error),
        _ => Loss::Unreadable(error.to_string()).into(),
    }
}
