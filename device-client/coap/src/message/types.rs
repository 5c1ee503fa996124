//! Small value types of the message format.

use core::fmt;

/// Message type, RFC 7252 §3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessageType {
    /// CON: the receiver acknowledges or resets it.
    Confirmable,
    /// NON.
    NonConfirmable,
    /// ACK, empty or with a piggybacked response.
    Acknowledgement,
    /// RST.
    Reset,
}

impl MessageType {
    pub(crate) const fn from_bits(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::Confirmable,
            1 => Self::NonConfirmable,
            2 => Self::Acknowledgement,
            _ => Self::Reset,
        }
    }

    pub(crate) const fn bits(self) -> u8 {
        match self {
            Self::Confirmable => 0,
            Self::NonConfirmable => 1,
            Self::Acknowledgement => 2,
            Self::Reset => 3,
        }
    }
}

/// Message id, RFC 7252 §4.4.
pub type MessageId = u16;

/// Method or response code `class.detail`, RFC 7252 §3.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(u8);

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $class:literal . $detail:literal;)*) => {
        impl Code {
            $($(#[$doc])* pub const $name: Self = Self::new($class, $detail);)*
        }
    };
}

codes! {
    /// 0.00, no request and no response.
    EMPTY = 0 . 0;
    /// 0.01
    GET = 0 . 1;
    /// 0.02
    POST = 0 . 2;
    /// 0.03
    PUT = 0 . 3;
    /// 0.04
    DELETE = 0 . 4;
    /// 0.05, RFC 8132
    FETCH = 0 . 5;
    /// 0.06, RFC 8132
    PATCH = 0 . 6;
    /// 0.07, RFC 8132
    IPATCH = 0 . 7;
    /// 2.01
    CREATED = 2 . 1;
    /// 2.02
    DELETED = 2 . 2;
    /// 2.03
    VALID = 2 . 3;
    /// 2.04
    CHANGED = 2 . 4;
    /// 2.05
    CONTENT = 2 . 5;
    /// 2.31, RFC 7959
    CONTINUE = 2 . 31;
    /// 4.00
    BAD_REQUEST = 4 . 0;
    /// 4.01
    UNAUTHORIZED = 4 . 1;
    /// 4.02
    BAD_OPTION = 4 . 2;
    /// 4.03
    FORBIDDEN = 4 . 3;
    /// 4.04
    NOT_FOUND = 4 . 4;
    /// 4.05
    METHOD_NOT_ALLOWED = 4 . 5;
    /// 4.06
    NOT_ACCEPTABLE = 4 . 6;
    /// 4.08, RFC 7959
    REQUEST_ENTITY_INCOMPLETE = 4 . 8;
    /// 4.09, RFC 8132
    CONFLICT = 4 . 9;
    /// 4.12
    PRECONDITION_FAILED = 4 . 12;
    /// 4.13
    REQUEST_ENTITY_TOO_LARGE = 4 . 13;
    /// 4.15
    UNSUPPORTED_CONTENT_FORMAT = 4 . 15;
    /// 4.22, RFC 8132
    UNPROCESSABLE_ENTITY = 4 . 22;
    /// 4.29, RFC 8516
    TOO_MANY_REQUESTS = 4 . 29;
    /// 5.00
    INTERNAL_SERVER_ERROR = 5 . 0;
    /// 5.01
    NOT_IMPLEMENTED = 5 . 1;
    /// 5.02
    BAD_GATEWAY = 5 . 2;
    /// 5.03
    SERVICE_UNAVAILABLE = 5 . 3;
    /// 5.04
    GATEWAY_TIMEOUT = 5 . 4;
    /// 5.05
    PROXYING_NOT_SUPPORTED = 5 . 5;
}

impl Code {
    /// From class (0 to 7) and detail (0 to 31); higher bits are cut off.
    #[must_use]
    pub const fn new(class: u8, detail: u8) -> Self {
        Self((class & 7) << 5 | (detail & 31))
    }

    /// From the byte on the wire.
    #[must_use]
    pub const fn from_byte(byte: u8) -> Self {
        Self(byte)
    }

    /// The byte on the wire.
    #[must_use]
    pub const fn byte(self) -> u8 {
        self.0
    }

    /// 0 (request), 2 (success), 4 (client error), 5 (server error); 1, 3, 6, 7 are reserved.
    #[must_use]
    pub const fn class(self) -> u8 {
        self.0 >> 5
    }

    /// 0 to 31.
    #[must_use]
    pub const fn detail(self) -> u8 {
        self.0 & 31
    }

    /// A method: 0.01 to 0.31.
    #[must_use]
    pub const fn is_request(self) -> bool {
        self.0 != 0 && self.class() == 0
    }

    /// A response: class 2, 4 or 5.
    #[must_use]
    pub const fn is_response(self) -> bool {
        matches!(self.class(), 2 | 4 | 5)
    }

    /// A response of class 2.
    #[must_use]
    pub const fn is_success(self) -> bool {
        self.class() == 2
    }

    /// A method whose repetition has the effect of one request: GET, PUT, DELETE, FETCH, iPATCH.
    #[must_use]
    pub const fn is_idempotent(self) -> bool {
        matches!(
            self,
            Self::GET | Self::PUT | Self::DELETE | Self::FETCH | Self::IPATCH
        )
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.class(), self.detail())
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A token, 0 to 8 bytes, RFC 7252 §5.3.1.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token {
    len: u8,
    bytes: [u8; Self::MAX],
}

impl Token {
    /// Longest token in bytes.
    pub const MAX: usize = 8;
    /// The token of length 0.
    pub const EMPTY: Self = Self {
        len: 0,
        bytes: [0; Self::MAX],
    };

    /// `None` if `bytes` is longer than 8.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let mut token = Self::EMPTY;
        token.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        token.len = bytes.len() as u8;
        Some(token)
    }

    /// Eight bytes: `prefix` (say, the shard), then seven of `random`. Each request should have
    /// fresh random bytes from a generator that a stranger can't predict.
    #[must_use]
    pub const fn with_prefix(prefix: u8, random: u64) -> Self {
        let mut bytes = random.to_be_bytes();
        bytes[0] = prefix;
        Self {
            len: Self::MAX as u8,
            bytes,
        }
    }

    /// The token's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes()
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({self})")
    }
}

/// Size exponent of a block: size is 2^(szx + 4), 16 to 1,024 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Szx(u8);

impl Szx {
    /// 16 bytes.
    pub const MIN: Self = Self(0);
    /// 1,024 bytes.
    pub const MAX: Self = Self(6);

    /// `None` above 6: 7 is reserved (RFC 7959 §2.2).
    #[must_use]
    pub const fn new(szx: u8) -> Option<Self> {
        if szx <= 6 { Some(Self(szx)) } else { None }
    }

    /// The largest block size that is at most `bytes` (16 if `bytes` is smaller than that).
    #[must_use]
    pub const fn at_most(bytes: usize) -> Self {
        let mut szx = 6;
        while szx > 0 && (16 << szx) > bytes {
            szx -= 1;
        }
        Self(szx)
    }

    /// 0 to 6.
    #[must_use]
    pub const fn exponent(self) -> u8 {
        self.0
    }

    /// Block size in bytes.
    #[must_use]
    pub const fn size(self) -> usize {
        16 << self.0
    }
}

/// Value of Block1 or Block2, RFC 7959 §2.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Block {
    /// Block number, below 2^20.
    pub num: u32,
    /// More blocks follow.
    pub more: bool,
    /// Block size.
    pub szx: Szx,
}

impl Block {
    /// Highest block number.
    pub const MAX_NUM: u32 = (1 << 20) - 1;

    /// `None` if `num` needs more than 20 bits.
    #[must_use]
    pub const fn new(num: u32, more: bool, szx: Szx) -> Option<Self> {
        if num <= Self::MAX_NUM {
            Some(Self { num, more, szx })
        } else {
            None
        }
    }

    /// From the option's integer; `None` for szx 7 and for more than 24 bits.
    #[must_use]
    pub const fn from_value(value: u32) -> Option<Self> {
        match Szx::new((value & 7) as u8) {
            Some(szx) => Self::new(value >> 4, value & 8 != 0, szx),
            None => None,
        }
    }

    /// The option's integer.
    #[must_use]
    pub const fn value(self) -> u32 {
        self.num << 4 | (self.more as u32) << 3 | self.szx.0 as u32
    }

    /// Position of the block's first byte in the body.
    #[must_use]
    pub const fn offset(self) -> u32 {
        self.num << (self.szx.0 + 4)
    }
}
