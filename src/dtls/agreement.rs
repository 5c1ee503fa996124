//! What is known of a handshake beside what OpenSSL keeps, at the SSL whose it is.

use std::sync::{LazyLock, OnceLock};
use std::time::Duration;

use openssl::error::ErrorStack;
use openssl::ex_data::Index;
use openssl::ssl::{Ssl, SslRef};
use tinsmith_dtls::Cid;
use tinsmith_peer::Identity;

use crate::credentials::Psk;
use crate::proven::{By, Proven};

/// What is known of a handshake beside what OpenSSL keeps.
pub(crate) struct Agreement {
    /// Connection ID for records to us, if the client can have one.
    pub(crate) own_cid: Cid,
    /// What the client wants in records to it; none until it said so.
    pub(crate) peer_cid: Option<Cid>,
    /// The PSK identity that the client gave.
    pub(crate) identity: Option<Vec<u8>>,
    /// Its key, if there is one.
    pub(crate) psk: Option<Psk>,
    /// By its certificate or raw public key.
    pub(crate) proven: OnceLock<Proven>,
    /// Before a flight is sent again the first time.
    pub(crate) first_timeout: Duration,
}

impl Agreement {
    /// What the client has proved, if the handshake is complete.
    pub(crate) fn proven(&self) -> Option<Proven> {
        match (&self.identity, &self.psk) {
            (Some(identity), Some(psk)) => Some(Proven {
                identity: Identity::Psk(identity.clone()),
                by: By::key(&psk.key),
            }),
            _ => self.proven.get().cloned(),
        }
    }
}

static AGREEMENT: LazyLock<Result<Index<Ssl, Agreement>, ErrorStack>> =
    LazyLock::new(Ssl::new_ex_index);

pub(crate) fn attach(ssl: &mut SslRef, agreement: Agreement) -> Result<(), ErrorStack> {
    ssl.set_ex_data(AGREEMENT.clone()?, agreement);
    Ok(())
}

pub(crate) fn agreement(ssl: &SslRef) -> Option<&Agreement> {
    ssl.ex_data(AGREEMENT.clone().ok()?)
}

pub(crate) fn agreement_mut(ssl: &mut SslRef) -> Option<&mut Agreement> {
    ssl.ex_data_mut(AGREEMENT.clone().ok()?)
}

pub(crate) fn first_timeout(ssl: &SslRef) -> Duration {
    agreement(ssl).map_or(Duration::from_secs(1), |agreement| agreement.first_timeout)
}
