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
        if bytes.is_empty() {
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

    pub(crate) fn apply(&mut self, op: FlashOp<'_>) -> Result<(), FlashError> {
        self.image.apply(op)?;
        match op {
            FlashOp::Sync => self.file.sync_data(),
            FlashOp::Program { offset, data } => self.file.write_all_at(data, u64::from(offset)),
            FlashOp::Erase { offset, len } => {
                let erased = self.image.read(offset, len);
                self.file.write_all_at(erased, u64::from(offset))
            }
        }
        .map_err(|_| FlashError)
    }
}

impl FlashRead for FileFlash {
    fn read(&self, offset: u32, len: u32) -> &[u8] {
        self.image.read(offset, len)
    }
}
