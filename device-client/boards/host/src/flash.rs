//! Flash in a file: an image in memory, written through.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use tinsmith_client::mem_flash::MemFlash;
use tinsmith_client::{FlashError, FlashOp, FlashRead};

pub(crate) struct FileFlash {
    image: MemFlash,
    file: File,
}

impl FileFlash {
    /// Opens the file, or makes an erased one of `len` bytes.
    pub(crate) fn open(path: &Path, len: usize, write_unit: usize) -> io::Result<Self> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        // A device that was killed while it made the file has a part of it.
        if bytes.len() < len && bytes.iter().all(|b| *b == 0xFF) {
            bytes = vec![0xFF; len];
            file.write_all_at(&bytes, 0)?;
            file.sync_all()?;
        }
        if bytes.len() != len {
            let text = format!("it has {} bytes, the target's flash {len}", bytes.len());
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        Ok(Self {
            image: MemFlash::from_image(&bytes, write_unit),
            file,
        })
    }

    /// First the file: what it does not take must not be read back as if it had.
    pub(crate) fn apply(&mut self, op: FlashOp<'_>) -> Result<(), FlashError> {
        match op {
            FlashOp::Sync => self.file.sync_data(),
            FlashOp::Program { offset, data } => self.file.write_all_at(data, u64::from(offset)),
            FlashOp::Erase { offset, len } => {
                let erased = vec![0xFF; len as usize];
                self.file.write_all_at(&erased, u64::from(offset))
            }
        }
        .map_err(|_| FlashError)?;
        self.image.apply(op)
    }
}

impl FlashRead for FileFlash {
    fn read(&self, offset: u32, len: u32) -> &[u8] {
        self.image.read(offset, len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_made_even_if_half_of_it_is_there_and_kept_otherwise() {
        let path = std::env::temp_dir().join(format!("tinsmith-flash-{}", std::process::id()));
        std::fs::write(&path, [0xFF; 100]).unwrap();
        let mut flash = FileFlash::open(&path, 1024, 4).unwrap();
        let data = &[1, 2, 3, 4];
        flash.apply(FlashOp::Program { offset: 8, data }).unwrap();
        drop(flash);
        let flash = FileFlash::open(&path, 1024, 4).unwrap();
        assert_eq!(flash.read(8, 4), data);
        assert!(FileFlash::open(&path, 2048, 4).is_err());
        std::fs::remove_file(&path).unwrap();
    }
}
