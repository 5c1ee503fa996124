//! What is known of a handshake beside what OpenSSL keeps, at the SSL whose it is.

use std::sync::{LazyLock, OnceLock};
use std::time::Duration;

use openssl::error::ErrorStack;
use openssl::ex_data::Index;
use openssl::ssl::{Ssl, SslRef};
use tinsmith_dtls::Cid;
use tinsmith_peer::Identity;

/// What a peer has proved, if its handshake gets to the end.
#[derive(Clone, Debug)]
pub(crate) struct Proven {
    pub(crate) identity: Identity,
    /// Whether the identity is that of one device.
    pub(crate) is_of_one: bool,
}

/// What is known of a handshake beside what OpenSSL keeps.
pub(crate) struct Agreement {
    /// Connection ID for records to us, if the client can have one.
    pub(crate) own_cid: Cid,
    /// What the client wants in records to it; none until it said so.
    pub(crate) peer_cid: Option<Cid>,
    /// The PSK identity that the client gave.
    pub(crate) identity: Option<Vec<u8>>,
    /// Whether there is a key for it.
    pub(crate) is_known: bool,
    /// Whether the key is that of one device.
    pub(crate) is_of_one: bool,
    /// By its certificate or raw public key.
    pub(crate) proven: OnceLock<Proven>,
    /// Before a flight is sent again the first time.
    pub(crate) first_timeout: Duration,
}

impl Agreement {
    /// What the client has proved, if the handshake is complete.
    pub(crate) fn proven(&self) -> Option<Proven> {
        match &self.identity {
            Some(identity) => Some(Proven {
                identity: Identity::Psk(identity.clone()),
                is_of_one: self.is_of_one,
            }),
            None => self.proven.get().cloned(),
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
