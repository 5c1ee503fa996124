//! Models, modules and packages: files named by the SHA-256 of their content.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest as _, Sha256};

pub use tinsmith_digest::Digest;

use crate::{private, space};

/// A folder of content-addressed files: a file is complete and durable, or not there.
#[derive(Clone, Debug)]
pub struct Files {
    folder: PathBuf,
}

static TEMPORARY: AtomicU64 = AtomicU64::new(0);

impl Files {
    /// Opens or creates the folder, and removes what an earlier process left unfinished.
    pub fn open(folder: &Path) -> io::Result<Self> {
        private::folder(folder)?;
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with("tmp-") {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(Files {
            folder: folder.to_path_buf(),
        })
    }

    /// The folder as it is, for who only reads.
    pub fn open_as_is(folder: &Path) -> Self {
        Files {
            folder: folder.to_path_buf(),
        }
    }

    /// Where the files are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the file with this content is, or would be.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        self.folder.join(digest.to_string())
    }

    /// True if the file is there.
    pub fn contains(&self, digest: &Digest) -> bool {
        self.path(digest).is_file()
    }

    /// Stores `bytes`; durable when this returns. A file that is there but damaged is replaced.
    ///
    /// # Errors
    /// `StorageFull` if the disk would have too little room left, and what the system says.
    pub fn put(&self, bytes: &[u8]) -> io::Result<Digest> {
        let digest = Digest::of(bytes);
        if self.verify(&digest).unwrap_or(false) {
            return Ok(digest);
        }
        space::expect_room(&self.folder, bytes.len() as u64)?;
        self.put_as(&digest, &mut &*bytes)?;
        Ok(digest)
    }

    /// Stores what is read, if it has this digest.
    pub(crate) fn put_as(&self, digest: &Digest, content: &mut dyn Read) -> io::Result<()> {
        let n = TEMPORARY.fetch_add(1, Ordering::Relaxed);
        let temporary = self.folder.join(format!("tmp-{}-{n}", std::process::id()));
        let written = File::create_new(&temporary).and_then(|mut file| {
            let found = copy(content, &mut file)?;
            if found != *digest {
                return Err(wrong(digest));
            }
            file.sync_all()
        });
        let path = self.path(digest);
        if let Err(error) = written.and_then(|()| fs::rename(&temporary, &path)) {
            let _ = fs::remove_file(&temporary);
            return Err(error);
        }
        File::open(&self.folder)?.sync_all()
    }

    /// The digests of all files, in order.
    ///
    /// # Errors
    /// The folder can't be read.
    pub fn list(&self) -> io::Result<Vec<Digest>> {
        let mut all = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            all.extend(
                entry?
                    .file_name()
                    .to_str()
                    .and_then(|name| name.parse::<Digest>().ok()),
            );
        }
        all.sort_unstable();
        Ok(all)
    }

    /// Reads and verifies a file. `InvalidData` if the disk changed it.
    pub fn get(&self, digest: &Digest) -> io::Result<Vec<u8>> {
        let bytes = fs::read(self.path(digest))?;
        if Digest::of(&bytes) != *digest {
            return Err(wrong(digest));
        }
        Ok(bytes)
    }

    /// True if the file is there and has the content its name says; read in pieces.
    pub fn verify(&self, digest: &Digest) -> io::Result<bool> {
        let mut file = match File::open(self.path(digest)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        Ok(copy(&mut file, &mut io::sink())? == *digest)
    }

    /// Removes a file, which may be absent.
    pub fn remove(&self, digest: &Digest) -> io::Result<()> {
        match fs::remove_file(self.path(digest)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => File::open(&self.folder)?.sync_all(),
        }
    }
}

fn wrong(digest: &Digest) -> io::Error {
    let text = format!("file {digest} does not have the content its name says");
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// Copies piece by piece, and gives the digest of all of it.
fn copy(from: &mut dyn Read, to: &mut dyn Write) -> io::Result<Digest> {
    let mut hash = Sha256::new();
    let mut piece = vec![0; 64 * 1024];
    loop {
        let n = from.read(&mut piece)?;
        if n == 0 {
            return Ok(Digest(hash.finalize().into()));
        }
        hash.update(&piece[..n]);
        to.write_all(&piece[..n])?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stores_reads_verifies_and_cleans_up() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("tmp-1-1"), b"half").unwrap();
        let files = Files::open(dir.path()).unwrap();
        assert!(!dir.path().join("tmp-1-1").exists());
        let digest = files.put(b"module").unwrap();
        assert_eq!(files.put(b"module").unwrap(), digest);
        assert_eq!(files.get(&digest).unwrap(), b"module");
        assert!(files.verify(&digest).unwrap());
        assert_eq!(digest.to_string().parse(), Ok(digest));

        fs::write(files.path(&digest), b"modulf").unwrap();
        assert!(!files.verify(&digest).unwrap());
        assert_eq!(
            files.get(&digest).unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
        // As long, but not the same: written anew.
        files.put(b"module").unwrap();
        assert_eq!(files.get(&digest).unwrap(), b"module");
        assert_eq!(files.list().unwrap(), [digest]);
        files.remove(&digest).unwrap();
        assert!(!files.contains(&digest));
        assert!(!files.verify(&digest).unwrap());
    }

    #[test]
    fn a_digest_is_64_digits() {
        assert!("00".parse::<Digest>().is_err());
        assert!("zz".repeat(32).parse::<Digest>().is_err());
    }
}
