//! Option numbers and what RFC 7252 §5.10 and its successors say of each.

/// An option number with its properties (RFC 7252 §5.4.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OptionNumber(pub u16);

macro_rules! options {
    ($($name:ident = $number:literal, $min:literal ..= $max:literal, $rfc:literal;)*) => {
        impl OptionNumber {
            $(
                #[doc = concat!("Option ", $number, ", ", $min, " to ", $max, " bytes, RFC ", $rfc, ".")]
                pub const $name: Self = Self($number);
            )*

            /// Allowed length of the value in bytes, `None` for a number this crate doesn't know.
            #[must_use]
            pub const fn length_limits(self) -> Option<(usize, usize)> {
                match self.0 {
                    $($number => Some(($min, $max)),)*
                    _ => None,
                }
            }
        }
    };
}

options! {
    IF_MATCH = 1, 0..=8, 7252;
    URI_HOST = 3, 1..=255, 7252;
    ETAG = 4, 1..=8, 7252;
    IF_NONE_MATCH = 5, 0..=0, 7252;
    OBSERVE = 6, 0..=3, 7641;
    URI_PORT = 7, 0..=2, 7252;
    LOCATION_PATH = 8, 0..=255, 7252;
    OSCORE = 9, 0..=255, 8613;
    URI_PATH = 11, 0..=255, 7252;
    CONTENT_FORMAT = 12, 0..=2, 7252;
    MAX_AGE = 14, 0..=4, 7252;
    URI_QUERY = 15, 0..=255, 7252;
    HOP_LIMIT = 16, 1..=1, 8768;
    ACCEPT = 17, 0..=2, 7252;
    LOCATION_QUERY = 20, 0..=255, 7252;
    BLOCK2 = 23, 0..=3, 7959;
    BLOCK1 = 27, 0..=3, 7959;
    SIZE2 = 28, 0..=4, 7959;
    PROXY_URI = 35, 1..=1034, 7252;
    PROXY_SCHEME = 39, 1..=255, 7252;
    SIZE1 = 60, 0..=4, 7252;
    ECHO = 252, 1..=40, 9175;
    NO_RESPONSE = 258, 0..=1, 7967;
    REQUEST_TAG = 292, 0..=8, 9175;
}

impl OptionNumber {
    /// A receiver that doesn't know it must refuse the message.
    #[must_use]
    pub const fn is_critical(self) -> bool {
        self.0 & 1 == 1
    }

    /// May occur more than once (RFC 7252 §5.4.5; Request-Tag: RFC 9175 §3.2.2).
    #[must_use]
    pub const fn is_repeatable(self) -> bool {
        matches!(
            self,
            Self::IF_MATCH
                | Self::ETAG
                | Self::LOCATION_PATH
                | Self::URI_PATH
                | Self::URI_QUERY
                | Self::LOCATION_QUERY
                | Self::REQUEST_TAG
        )
    }
}

/// Content-Format numbers (IANA) that LwM2M uses.
pub mod content_format {
    /// text/plain;charset=utf-8
    pub const TEXT: u16 = 0;
    /// application/link-format
    pub const LINK_FORMAT: u16 = 40;
    /// application/octet-stream
    pub const OCTET_STREAM: u16 = 42;
    /// application/cbor
    pub const CBOR: u16 = 60;
    /// application/senml+json
    pub const SENML_JSON: u16 = 110;
    /// application/senml+cbor
    pub const SENML_CBOR: u16 = 112;
    /// application/vnd.oma.lwm2m+tlv
    pub const LWM2M_TLV: u16 = 11_542;
    /// application/vnd.oma.lwm2m+json
    pub const LWM2M_JSON: u16 = 11_543;
    /// application/vnd.oma.lwm2m+cbor
    pub const LWM2M_CBOR: u16 = 11_544;
}
