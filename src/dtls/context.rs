//! How OpenSSL is set up.

use std::sync::Arc;

use openssl::error::ErrorStack;
use openssl::ssl::{
    ExtensionContext, SslAlert, SslContext, SslContextBuilder, SslMethod, SslMode, SslOptions,
    SslRef, SslSessionCacheMode, SslVersion,
};
use tinsmith_dtls::{Cid, MAX_PSK};

use crate::agreement::{agreement, agreement_mut};
use crate::credentials::Credentials;
use crate::hello::CONNECTION_ID;
use crate::own::Own;
use crate::proof;

/// The suites that an association can be detached of, the shortest records first.
const SUITES: &str = "PSK-AES128-CCM8:PSK-AES128-CCM:PSK-AES128-GCM-SHA256";
/// Those of a server that has a key of its own.
const ALL_SUITES: &str = "PSK-AES128-CCM8:PSK-AES128-CCM:PSK-AES128-GCM-SHA256:\
    ECDHE-ECDSA-AES128-CCM8:ECDHE-ECDSA-AES128-CCM:ECDHE-ECDSA-AES128-GCM-SHA256";

pub(crate) fn context(
    credentials: Arc<dyn Credentials>,
    own: Option<&Own>,
) -> Result<SslContext, ErrorStack> {
    let mut builder = SslContextBuilder::new(SslMethod::dtls_server())?;
    builder.set_min_proto_version(Some(SslVersion::DTLS1_2))?;
    builder.set_mode(SslMode::RELEASE_BUFFERS);
    builder.set_options(
        SslOptions::NO_QUERY_MTU
            | SslOptions::NO_RENEGOTIATION
            | SslOptions::NO_COMPRESSION
            | SslOptions::CIPHER_SERVER_PREFERENCE
            // A key that was taken away must not live on in tickets.
            | SslOptions::NO_TICKET,
    );
    builder.set_session_cache_mode(SslSessionCacheMode::OFF);
    // OpenSSL 3.2 and later think tags of 8 bytes too short for any higher level; LwM2M asks for
    // them. The list of suites is what counts.
    builder.set_security_level(0);
    builder.set_cipher_list(own.map_or(SUITES, |_| ALL_SUITES))?;
    if let Some(own) = own {
        proof::set_up(&mut builder, own, Arc::clone(&credentials))?;
    }
    // Nothing comes to OpenSSL whose cookie was not right.
    builder.set_cookie_verify_cb(|_, _| true);
    builder.set_psk_server_callback(move |ssl, identity, place| {
        let identity = identity.unwrap_or_default();
        let psk = credentials.psk(identity).filter(|psk| {
            let len = psk.key.len();
            (1..=MAX_PSK).contains(&len) && len <= place.len()
        });
        if let Some(agreement) = agreement_mut(ssl) {
            agreement.identity = Some(identity.to_vec());
            agreement.is_known = psk.is_some();
            agreement.is_of_one = psk.as_ref().is_some_and(|psk| psk.is_of_one);
        }
        let Some(psk) = psk else { return Ok(0) };
        for (place, byte) in place.iter_mut().zip(psk.key.iter()) {
            *place = *byte;
        }
        Ok(psk.key.len())
    });
    builder.add_custom_ext(
        CONNECTION_ID,
        ExtensionContext::CLIENT_HELLO | ExtensionContext::TLS1_2_SERVER_HELLO,
        |ssl, _, _| Ok(answer(ssl)),
        |ssl, _, content, _| asked(ssl, content),
    )?;
    Ok(builder.build())
}

/// The client wants Connection IDs.
fn asked(ssl: &mut SslRef, content: &[u8]) -> Result<(), SslAlert> {
    let Some((len, cid)) = content.split_first() else {
        return Err(SslAlert::DECODE_ERROR);
    };
    if usize::from(*len) != cid.len() {
        return Err(SslAlert::DECODE_ERROR);
    }
    if let Some(agreement) = agreement_mut(ssl) {
        // One that is too long for us is not agreed to.
        agreement.peer_cid = Cid::new(cid).ok();
    }
    Ok(())
}

/// What the ServerHello says of Connection IDs.
fn answer(ssl: &SslRef) -> Option<Vec<u8>> {
    let agreement = agreement(ssl)?;
    agreement.peer_cid?;
    let own = agreement.own_cid.as_bytes();
    let mut content = vec![own.len() as u8];
    content.extend_from_slice(own);
    Some(content)
}
