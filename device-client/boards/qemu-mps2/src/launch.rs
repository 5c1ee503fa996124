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
//! Keys and certificates are pairs of hexadecimal digits. Lines end with LF, the block with a NUL byte. Unknown keys are refused.

use core::fmt;

/// Where the block lies: the last 64 KiB of PSRAM.
pub const ADDRESS: usize = 0x21ff_0000;
/// Longest block, bytes.
pub const LIMIT: usize = 8192;

const MAGIC: &str = "tinsmith-launch-1";

/// The block, parsed.
#[derive(Clone, Copy, Default)]
pub struct Launch<'a> {
    /// Endpoint name.
    pub endpoint: &'a str,
    /// URI of the bootstrap server, with an address as the guest sees it.
    pub bootstrap: &'a str,
    /// What the bootstrap server knows the key by, if it has DTLS.
    pub identity: &'a str,
    /// The key, for a bootstrap server with DTLS; empty without.
    pub key: &'a [u8],
    /// What messages to a bootstrap server are protected with by OSCORE.
    pub context: Context<'a>,
    /// Instead of identity and key.
    pub pair: Pair<'a>,
    /// Entropy, at least 16 characters: this machine has no random number generator.
    pub seed: &'a str,
    /// Cut the power, that is reset, when so many units of flash were changed; 0 never. Each number
    /// cuts once in the life of a flash.
    pub cut: u32,
    /// Leave with exit code 0 after so many seconds; 0 stays for ever.
    pub seconds: u32,
}

/// A context of OSCORE; without a secret there is none.
#[derive(Clone, Copy, Default)]
pub struct Context<'a> {
    /// The master secret.
    pub secret: &'a [u8],
    /// The master salt.
    pub salt: &'a [u8],
    /// The device's id.
    pub sender_id: &'a [u8],
    /// The server's id.
    pub recipient_id: &'a [u8],
}

/// A key pair for DTLS, as DER; without a private key there is none.
#[derive(Clone, Copy, Default)]
pub struct Pair<'a> {
    /// The device's public key, or its certificate.
    pub public: &'a [u8],
    /// What belongs to it.
    pub private: &'a [u8],
    /// The server's public key, its certificate, or that of an authority above it.
    pub server: &'a [u8],
    /// What `public` and `server` are.
    pub usage: Usage,
}

/// What the keys of a pair are shown in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Usage {
    /// Nothing: raw public keys.
    #[default]
    RawKeys,
    /// Certificates; the server's is known.
    Issued,
    /// Certificates; an authority above the server's is known.
    Authority,
}

impl Usage {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "" => Self::RawKeys,
            "issued" => Self::Issued,
            "authority" => Self::Authority,
            _ => return None,
        })
    }
}

/// Why the block is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaunchError {
    /// There is none.
    Absent,
    /// Without its end.
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
            Self::Malformed => f.write_str("the launch block has no NUL at its end"),
            Self::Line(line) => write!(f, "line {line} of the launch block is not known"),
            Self::Missing(key) => write!(f, "the launch block has no {key}"),
        }
    }
}

/// The block that lies in PSRAM. To be called once: what is in hexadecimal digits is decoded in its
/// place.
///
/// # Errors
/// There is none, or it is of no use.
pub fn read() -> Result<Launch<'static>, LaunchError> {
    // SAFETY: PSRAM that no linker section covers and nobody else uses after the start; any bytes
    // will do.
    let block = unsafe { core::slice::from_raw_parts_mut(ADDRESS as *mut u8, LIMIT) };
    parse(block)
}

fn parse(block: &mut [u8]) -> Result<Launch<'_>, LaunchError> {
    if !block.starts_with(MAGIC.as_bytes()) {
        return Err(LaunchError::Absent);
    }
    let end = block.iter().position(|&byte| byte == 0);
    let text = block.get_mut(..end.ok_or(LaunchError::Malformed)?);
    let mut launch = Launch::default();
    let lines = text.unwrap_or_default().split_mut(|byte| *byte == b'\n');
    for (i, line) in lines.enumerate().skip(1) {
        if !line.is_empty() {
            take(&mut launch, line).ok_or(LaunchError::Line(i + 1))?;
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

/// Takes a line; none if it is not known.
fn take<'a>(launch: &mut Launch<'a>, line: &'a mut [u8]) -> Option<()> {
    let end = line.iter().position(|byte| *byte == b'=')?;
    let (key, value) = line.split_at_mut(end);
    let (_, value) = value.split_first_mut()?;
    let place = match &*key {
        b"key" => &mut launch.key,
        b"oscore-secret" => &mut launch.context.secret,
        b"oscore-salt" => &mut launch.context.salt,
        b"sender-id" => &mut launch.context.sender_id,
        b"recipient-id" => &mut launch.context.recipient_id,
        b"public" => &mut launch.pair.public,
        b"private" => &mut launch.pair.private,
        b"server" => &mut launch.pair.server,
        key => {
            let value = core::str::from_utf8(value).ok()?;
            match key {
                b"endpoint" => launch.endpoint = value,
                b"bootstrap" => launch.bootstrap = value,
                b"identity" => launch.identity = value,
                b"seed" if value.len() >= 16 => launch.seed = value,
                b"cut" => launch.cut = value.parse().ok()?,
                b"seconds" => launch.seconds = value.parse().ok()?,
                b"usage" => launch.pair.usage = Usage::parse(value)?,
                _ => return None,
            }
            return Some(());
        }
    };
    *place = decode(value)?;
    Some(())
}

/// Pairs of hexadecimal digits, decoded in their place.
fn decode(text: &mut [u8]) -> Option<&[u8]> {
    let len = text.len() / 2;
    if !text.len().is_multiple_of(2) {
        return None;
    }
    for i in 0..len {
        let pair = core::str::from_utf8(text.get(2 * i..2 * i + 2)?).ok()?;
        *text.get_mut(i)? = u8::from_str_radix(pair, 16).ok()?;
    }
    text.get(..len)
}
