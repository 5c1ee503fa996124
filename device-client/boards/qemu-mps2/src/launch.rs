//! What the launcher tells the firmware: a block of text that QEMU's `loader` device puts into
//! PSRAM before the start and again at every reset.
//!
//! ```text
//! tinsmith-launch-1
//! endpoint=qemu-1
//! bootstrap=coap://10.0.2.2:5783
//! seed=d1ce...
//! ```
//!
//! Lines end with LF, the block with a NUL byte. Unknown keys are refused.

use core::fmt;

/// Where the block lies: the last 64 KiB of PSRAM.
pub const ADDRESS: usize = 0x21ff_0000;
/// Longest block, bytes.
pub const LIMIT: usize = 1024;

const MAGIC: &str = "tinsmith-launch-1";

/// The block, parsed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Launch<'a> {
    /// Endpoint name.
    pub endpoint: &'a str,
    /// URI of the bootstrap server, with an address as the guest sees it.
    pub bootstrap: &'a str,
    /// What the bootstrap server knows the key by, if it has DTLS.
    pub identity: &'a str,
    /// The key, for a bootstrap server with DTLS; empty without.
    pub key: Key,
    /// Entropy, at least 16 characters: this machine has no random number generator.
    pub seed: &'a str,
    /// Cut the power, that is reset, when so many units of flash were changed; 0 never. Each number
    /// cuts once in the life of a flash.
    pub cut: u32,
    /// Leave with exit code 0 after so many seconds; 0 stays for ever.
    pub seconds: u32,
}

/// A pre-shared key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Key {
    bytes: [u8; Self::LIMIT],
    len: usize,
}

impl Key {
    /// Longest key, bytes.
    const LIMIT: usize = 64;

    /// Of pairs of hexadecimal digits.
    fn parse(text: &str) -> Option<Self> {
        let mut key = Self::default();
        for pair in text.as_bytes().chunks(2) {
            let pair = core::str::from_utf8(pair).ok().filter(|p| p.len() == 2)?;
            let place = key.bytes.get_mut(key.len)?;
            *place = u8::from_str_radix(pair, 16).ok()?;
            key.len += 1;
        }
        Some(key)
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl Default for Key {
    fn default() -> Self {
        Self {
            bytes: [0; Self::LIMIT],
            len: 0,
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

/// Why the block is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaunchError {
    /// There is none.
    Absent,
    /// Not UTF-8, or without its end.
    Malformed,
    /// A line is not `key=value` with a known key and a usable value.
    Line(usize),
    /// This key is needed.
    Missing(&'static str),
}

impl fmt::Display for LaunchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => write!(f, "no launch block at {ADDRESS:#x}: start with run.sh"),
            Self::Malformed => f.write_str("the launch block is not text with a NUL at its end"),
            Self::Line(line) => write!(f, "line {line} of the launch block is not known"),
            Self::Missing(key) => write!(f, "the launch block has no {key}"),
        }
    }
}

/// The block that lies in PSRAM.
///
/// # Errors
/// There is none, or it is of no use.
pub fn read() -> Result<Launch<'static>, LaunchError> {
    // SAFETY: PSRAM that no linker section covers and nobody writes to after the start; any bytes
    // will do.
    let block = unsafe { core::slice::from_raw_parts(ADDRESS as *const u8, LIMIT) };
    parse(block)
}

fn parse(block: &[u8]) -> Result<Launch<'_>, LaunchError> {
    if !block.starts_with(MAGIC.as_bytes()) {
        return Err(LaunchError::Absent);
    }
    let end = block
        .iter()
        .position(|&byte| byte == 0)
        .ok_or(LaunchError::Malformed)?;
    let text = core::str::from_utf8(&block[..end]).map_err(|_| LaunchError::Malformed)?;
    let mut launch = Launch::default();
    for (i, line) in text.lines().enumerate().skip(1) {
        let unknown = LaunchError::Line(i + 1);
        match line.split_once('=').ok_or(unknown)? {
            ("endpoint", value) => launch.endpoint = value,
            ("bootstrap", value) => launch.bootstrap = value,
            ("identity", value) => launch.identity = value,
            ("key", value) => launch.key = Key::parse(value).ok_or(unknown)?,
            ("seed", value) if value.len() >= 16 => launch.seed = value,
            ("cut", value) => launch.cut = value.parse().map_err(|_| unknown)?,
            ("seconds", value) => launch.seconds = value.parse().map_err(|_| unknown)?,
            _ => return Err(unknown),
        }
    }
    for (key, value) in [
        ("endpoint", launch.endpoint),
        ("bootstrap", launch.bootstrap),
        ("seed", launch.seed),
    ] {
        if value.is_empty() {
            return Err(LaunchError::Missing(key));
        }
    }
    Ok(launch)
}
