//! Folders and files that nobody else on this machine reads.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Of a folder; of a file.
const FOLDER: u32 = 0o700;
const FILE: u32 = 0o600;
/// Everybody makes files there, as in `/tmp`.
const STICKY: u32 = 0o1000;

/// Makes a folder that only its owner enters. One that is there and ours becomes such; one that
/// belongs to somebody else, or where everybody makes files, stays as it is.
///
/// # Errors
/// It can't be made.
pub fn folder(path: &Path) -> io::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(FOLDER)
        .create(path)?;
    let found = fs::metadata(path)?;
    let mode = found.permissions().mode();
    let ours = found.uid() == nix::unistd::geteuid().as_raw();
    if mode & 0o077 != 0 {
        if ours && mode & STICKY == 0 {
            fs::set_permissions(path, fs::Permissions::from_mode(FOLDER))?;
        } else {
            let path = path.display();
            tracing::warn!("{path} can be entered by others on this machine");
        }
    }
    Ok(())
}

/// A new file, or one that begins anew, that only its owner reads.
///
/// # Errors
/// It can't be made.
pub fn file(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.write(true).create(true).truncate(true).mode(FILE);
    let file = options.open(path)?;
    file.set_permissions(fs::Permissions::from_mode(FILE))?;
    Ok(file)
}

/// Writes a file that only its owner reads; the old or the new one is there, whatever happens, and
/// durable when this returns.
///
/// # Errors
/// It can't be written.
pub fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension(format!("tmp-{}", std::process::id()));
    let written = file(&temporary).and_then(|mut file| {
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    });
    if let Err(error) = written {
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    let folder = path.parent().filter(|path| !path.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn folders_are_for_their_owner() {
        let top = tempfile::tempdir().unwrap();
        let new = top.path().join("a/b");
        folder(&new).unwrap();
        assert_eq!(mode(&new), 0o700);
        let loose = top.path().join("loose");
        fs::create_dir(&loose).unwrap();
        chmod(&loose, 0o755);
        folder(&loose).unwrap();
        assert_eq!(mode(&loose), 0o700);
        chmod(&loose, 0o1777);
        folder(&loose).unwrap();
        assert_eq!(mode(&loose), 0o1777);
    }

    #[test]
    fn files_are_for_their_owner() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("token");
        fs::write(&path, "old and long").unwrap();
        chmod(&path, 0o644);
        write(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(mode(&path), 0o600);
        assert_eq!(fs::read_dir(top.path()).unwrap().count(), 1);
        chmod(&path, 0o644);
        drop(file(&path).unwrap());
        assert_eq!((mode(&path), fs::read(&path).unwrap().len()), (0o600, 0));
    }
}
