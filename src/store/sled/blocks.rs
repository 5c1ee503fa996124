//! Writes past the kernel's cache, which go in whole blocks: what is before a group in its first
//! block is written again with it, as the cache would.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Of memory and of the file; a multiple of what disks have.
const BLOCK: usize = 4096;

/// The block that is not full yet.
#[derive(Default)]
pub(super) struct Blocks {
    tail: Vec<u8>,
    buffer: Vec<u8>,
}

impl Blocks {
    /// Writes `bytes` at `at`, where the write before ended; a file begins at 0. Zeros follow to the
    /// end of the block.
    pub(super) fn write(&mut self, file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
        let before = self.tail.len();
        if at % BLOCK as u64 != before as u64 {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        let used = before + bytes.len();
        let length = used.next_multiple_of(BLOCK);
        self.buffer.resize(length + BLOCK, 0);
        let begin = self.buffer.as_ptr().align_offset(BLOCK);
        let out = self.buffer.get_mut(begin..begin.saturating_add(length));
        let out = out.ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory))?;
        out[..before].copy_from_slice(&self.tail);
        out[before..used].copy_from_slice(bytes);
        out[used..].fill(0);
        file.write_all_at(out, at - before as u64)?;
        self.tail.clear();
        self.tail.extend_from_slice(&out[used - used % BLOCK..used]);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn writes_follow_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let file = File::create(&path).unwrap();
        let mut blocks = Blocks::default();
        let mut expected = Vec::new();
        let lengths = [1, 4095, 4096, 10_000, 0, 3, 1, 8_192];
        for (n, length) in lengths.into_iter().enumerate() {
            let bytes = vec![n as u8 + 1; length];
            blocks.write(&file, &bytes, expected.len() as u64).unwrap();
            expected.extend_from_slice(&bytes);
            let found = fs::read(&path).unwrap();
            assert_eq!(found.len(), expected.len().next_multiple_of(BLOCK));
            assert_eq!(found[..expected.len()], expected);
            assert!(found[expected.len()..].iter().all(|byte| *byte == 0));
        }
        assert!(blocks.write(&file, b"a gap", 7).is_err());
    }
}
