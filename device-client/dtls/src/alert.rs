//! Alerts (RFC 5246 §7.2).

/// Whether the connection goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AlertLevel {
    /// It may.
    Warning = 1,
    /// It does not.
    Fatal = 2,
}

/// What an alert says.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct AlertDescription(pub u8);

macro_rules! descriptions {
    ($($name:ident = $number:literal, $text:literal;)*) => {
        impl AlertDescription {
            $(#[doc = $text] pub const $name: Self = Self($number);)*

            /// Its name, if it has one here.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                Some(match self.0 {
                    $($number => $text,)*
                    _ => return None,
                })
            }
        }
    };
}

descriptions! {
    CLOSE_NOTIFY = 0, "close notify";
    UNEXPECTED_MESSAGE = 10, "unexpected message";
    BAD_RECORD_MAC = 20, "bad record MAC";
    RECORD_OVERFLOW = 22, "record overflow";
    HANDSHAKE_FAILURE = 40, "handshake failure";
    ILLEGAL_PARAMETER = 47, "illegal parameter";
    ACCESS_DENIED = 49, "access denied";
    DECODE_ERROR = 50, "decode error";
    DECRYPT_ERROR = 51, "decrypt error";
    PROTOCOL_VERSION = 70, "protocol version";
    INSUFFICIENT_SECURITY = 71, "insufficient security";
    INTERNAL_ERROR = 80, "internal error";
    USER_CANCELED = 90, "user canceled";
    NO_RENEGOTIATION = 100, "no renegotiation";
    UNSUPPORTED_EXTENSION = 110, "unsupported extension";
    UNKNOWN_PSK_IDENTITY = 115, "unknown PSK identity";
}

impl core::fmt::Debug for AlertDescription {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "alert {}", self.0),
        }
    }
}

/// An alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Alert {
    /// How bad it is.
    pub level: AlertLevel,
    /// What happened.
    pub description: AlertDescription,
}

impl Alert {
    /// The sender sends nothing more.
    pub const CLOSE_NOTIFY: Self = Self::warning(AlertDescription::CLOSE_NOTIFY);

    /// One after which the connection may go on.
    #[must_use]
    pub const fn warning(description: AlertDescription) -> Self {
        let level = AlertLevel::Warning;
        Self { level, description }
    }

    /// One that ends the connection.
    #[must_use]
    pub const fn fatal(description: AlertDescription) -> Self {
        let level = AlertLevel::Fatal;
        Self { level, description }
    }

    /// Whether the connection is at its end.
    #[must_use]
    pub fn ends(self) -> bool {
        self.level == AlertLevel::Fatal || self.description == AlertDescription::CLOSE_NOTIFY
    }

    /// The content of its record.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 2] {
        [self.level as u8, self.description.0]
    }

    /// Of the content of a record.
    #[must_use]
    pub const fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let [level, description] = *bytes else {
            return None;
        };
        let description = AlertDescription(description);
        match level {
            1 => Some(Self::warning(description)),
            2 => Some(Self::fatal(description)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_bytes_and_back() {
        for bytes in [[1, 0], [2, 40], [2, 255], [1, 100]] {
            let alert = Alert::from_bytes(&bytes).unwrap();
            assert_eq!(alert.to_bytes(), bytes);
            assert_eq!(alert.ends(), bytes[0] == 2 || bytes[1] == 0);
        }
        for bad in [&[][..], &[1], &[0, 0], &[3, 0], &[1, 0, 0]] {
            assert_eq!(Alert::from_bytes(bad), None);
        }
    }
}
