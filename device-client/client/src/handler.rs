//! What a handler of an object is asked, and how it answers.

use tinsmith_coap::Code;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The bootstrap server.
    Bootstrap,
    /// A management server.
    Server {
        /// Its instance of object 1.
        instance: u16,
        /// Its Short Server Id.
        short_id: u16,
    },
}

/// What a request is about: a resource of an instance that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Object instance.
    pub instance: u16,
    /// Resource; its definition allows the operation.
    pub resource: u16,
    /// Resource instance, where one is meant.
    pub resource_instance: Option<u16>,
}

/// When a request is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// Now, with success.
    Now,
    /// With success when everything that changed is on flash.
    Stored,
    /// With this code when everything that changed is on flash.
    Refused(Code),
    /// When [`Input::Done`](crate::Input::Done) comes with [`Context::ticket`](crate::Context::ticket), at most 247 s from
    /// now. The server gets an empty acknowledgement meanwhile.
    Later,
}

impl Done {
    /// Of two values of one request, the one that takes longer.
    pub(crate) fn and(self, other: Self) -> Self {
        let rank = |done: Self| match done {
            Self::Now => 0,
            Self::Stored => 1,
            Self::Later => 2,
            Self::Refused(_) => 3,
        };
        if rank(other) > rank(self) {
            other
        } else {
            self
        }
    }
}

/// Names a request that is answered later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    pub(crate) session: u8,
    pub(crate) serial: u32,
}

/// How a resource takes what is written to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// As one value, in any format: [`Object::write`](crate::Object::write).
    Value,
    /// Opaque bytes part by part, in order, each once: [`Object::write_part`](crate::Object::write_part). In another format
    /// it comes as one value.
    Stream {
        /// Largest body, bytes.
        max: u32,
    },
    /// Opaque bytes part by part as the server sends them, perhaps again or from the middle: the
    /// object keeps the position itself, over a reset if it can. [`Object::write_part`](crate::Object::write_part).
    Resumable,
}

/// A part of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part<'p> {
    /// Position in the body.
    pub offset: u32,
    /// The bytes.
    pub bytes: &'p [u8],
    /// It is the end of the body.
    pub last: bool,
    /// Request-Tag of the transfer (RFC 9175), if the server gives one.
    pub tag: Option<&'p [u8]>,
}
