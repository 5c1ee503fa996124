//! Firmware Update (object 5, version 1.1).

use crate::number::numbered;

numbered! {
    /// State (/5/0/3).
    State, "state of Firmware Update" {
        /// Nothing is under way.
        Idle = 0, "idle";
        /// Blocks are arriving.
        Downloading = 1, "downloading";
        /// Complete and verified.
        Downloaded = 2, "downloaded";
        /// Installing; for a module until its trial ends.
        Updating = 3, "updating";
    }
}

numbered! {
    /// Update Result (/5/0/5).
    UpdateResult, "result of Firmware Update" {
        /// An update or download has begun, or nothing has happened yet.
        Initial = 0, "initial";
        /// Installed; of a module: committed.
        Success = 1, "success";
        /// The package does not fit its slot.
        NotEnoughFlash = 2, "not enough flash for the package";
        /// The package, or the arena of its module, does not fit the RAM.
        OutOfRam = 3, "out of RAM while downloading";
        /// The transfer broke off.
        ConnectionLost = 4, "connection lost while downloading";
        /// Digest or signature.
        IntegrityFailed = 5, "integrity check of the package failed";
        /// Another format, class of device or ABI.
        UnsupportedPackage = 6, "package type or target not supported";
        /// Of the package, for pull.
        InvalidUri = 7, "invalid URI";
        /// Rolled back, or older than what is installed.
        Failed = 8, "update failed";
        /// Of the URI, for pull.
        UnsupportedProtocol = 9, "protocol not supported";
        /// By the server.
        Cancelled = 10, "cancelled";
        /// By a user.
        Deferred = 11, "deferred";
    }
}

impl UpdateResult {
    /// Did something go wrong?
    #[must_use]
    pub const fn is_fault(self) -> bool {
        !matches!(self, Self::Initial | Self::Success)
    }

    /// Can another try of the same package end differently?
    #[must_use]
    pub const fn is_transient(self) -> bool {
        matches!(
            self,
            Self::OutOfRam | Self::ConnectionLost | Self::Cancelled | Self::Deferred
        )
    }
}

numbered! {
    /// Firmware Update Protocol Support (/5/0/8): how a device pulls.
    Protocol, "protocol of Firmware Update" {
        /// CoAP.
        Coap = 0, "coap";
        /// CoAP over DTLS.
        Coaps = 1, "coaps";
        /// HTTP 1.1.
        Http = 2, "http";
        /// HTTP 1.1 over TLS.
        Https = 3, "https";
        /// CoAP over TCP.
        CoapTcp = 4, "coap+tcp";
        /// CoAP over TLS.
        CoapsTcp = 5, "coaps+tcp";
    }
}

numbered! {
    /// Firmware Update Delivery Method (/5/0/9).
    Delivery, "delivery method of Firmware Update" {
        /// The device gets the package.
        Pull = 0, "pull";
        /// The server writes the package.
        Push = 1, "push";
        /// Either.
        Both = 2, "pull and push";
    }
}
