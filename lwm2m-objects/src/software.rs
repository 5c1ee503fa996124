//! Software Management (object 9, version 1.0).

use crate::number::numbered;

numbered! {
    /// Update State (/9/x/7).
    State, "state of Software Management" {
        /// Before a download.
        Initial = 0, "initial";
        /// Under way.
        DownloadStarted = 1, "download started";
        /// The package is complete, its integrity not checked yet.
        Downloaded = 2, "downloaded";
        /// Checked, ready to install.
        Delivered = 3, "delivered";
        /// Installed, active or not.
        Installed = 4, "installed";
    }
}

numbered! {
    /// Update Result (/9/x/9).
    UpdateResult, "result of Software Management" {
        /// Before a download.
        Initial = 0, "initial";
        /// Under way.
        Downloading = 1, "downloading";
        /// Installed.
        Installed = 2, "installed";
        /// Complete and checked.
        Verified = 3, "downloaded and verified";
        /// The package does not fit its slot.
        NotEnoughStorage = 50, "not enough storage";
        /// While downloading.
        OutOfMemory = 51, "out of memory";
        /// While downloading.
        ConnectionLost = 52, "connection lost";
        /// Digest or signature.
        IntegrityFailed = 53, "integrity check failed";
        /// Another format, class of device or ABI.
        UnsupportedType = 54, "package type not supported";
        /// Of the package, for pull.
        InvalidUri = 56, "invalid URI";
        /// Whatever else the device says.
        DeviceDefined = 57, "update error that the device defines";
        /// The package could not be installed.
        InstallationFailed = 58, "installation failed";
        /// The software could not be removed for an update.
        UninstallationFailed = 59, "uninstallation failed";
    }
}

impl UpdateResult {
    /// Did something go wrong?
    #[must_use]
    pub const fn is_fault(self) -> bool {
        self.number() >= Self::NotEnoughStorage.number()
    }
}
