//! What peers with certificates and raw public keys prove, and whether that is enough.

use std::sync::Arc;

use openssl::error::ErrorStack;
use openssl::nid::Nid;
use openssl::ssl::{SslContextBuilder, SslVerifyMode};
use openssl::x509::store::X509StoreBuilder;
use openssl::x509::verify::X509VerifyFlags;
use openssl::x509::{X509Ref, X509StoreContext, X509StoreContextRef, X509VerifyResult};
use tinsmith_peer::Identity;

use crate::agreement::{Proven, agreement};
use crate::credentials::Credentials;
use crate::ffi;
use crate::own::{Own, info, raw_key_digest};

/// The longest name that is looked at, and the most of one certificate.
const MAX_NAME: usize = 255;
const MAX_NAMES: usize = 16;
/// Certificates between that of the device and an authority.
const DEPTH: u32 = 4;
/// 112 bits of security: no SHA-1, no short keys (OpenSSL's `X509_VERIFY_PARAM_set_auth_level`).
const LEVEL: i32 = 2;
/// No error of OpenSSL's, so that the alert is `certificate_unknown`.
const NOBODY: i32 = 0x7fff;

/// Lets peers without a pre-shared key in.
pub(crate) fn set_up(
    builder: &mut SslContextBuilder,
    own: &Own,
    credentials: Arc<dyn Credentials>,
) -> Result<(), ErrorStack> {
    let mut chain = own.chain.iter();
    if let Some(certificate) = chain.next() {
        builder.set_certificate(certificate)?;
    }
    for between in chain {
        builder.add_extra_chain_cert(between.clone())?;
    }
    builder.set_private_key(&own.key)?;
    let mut store = X509StoreBuilder::new()?;
    for authority in &own.authorities {
        store.add_cert(authority.clone())?;
    }
    builder.set_cert_store(store.build());
    builder.set_verify_depth(DEPTH);
    let verify = builder.verify_param_mut();
    verify.set_auth_level(LEVEL);
    verify.set_flags(X509VerifyFlags::PARTIAL_CHAIN)?;
    builder.set_groups_list("P-256")?;
    builder.set_sigalgs_list("ECDSA+SHA256:ECDSA+SHA384")?;
    ffi::offer_raw_keys(builder, !own.chain.is_empty())?;
    let mode = SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT;
    builder.set_verify_callback(mode, move |good, context| {
        verified(good, context, &*credentials)
    });
    Ok(())
}

/// What OpenSSL thinks of a certificate of the chain, or of a raw key, of which it thinks nothing.
fn verified(good: bool, context: &mut X509StoreContextRef, credentials: &dyn Credentials) -> bool {
    let raw = ffi::raw_key(context).and_then(|key| info(&key));
    let proven = match raw {
        Some(key) => raw_key(&key, credentials),
        None if !good => return false,
        // Not the one that counts yet.
        None if context.error_depth() > 0 => return true,
        None => context.current_cert().and_then(|certificate| {
            let names = names(certificate);
            let (name, is_of_one) = credentials.certificate(&names)?;
            Some(Proven {
                identity: Identity::Certificate(name),
                is_of_one,
            })
        }),
    };
    let index = X509StoreContext::ssl_idx();
    let ssl = index.ok().and_then(|index| context.ex_data(index));
    let agreement = ssl.and_then(agreement);
    if let (Some(proven), Some(agreement)) = (proven, agreement) {
        let first = agreement.proven.get_or_init(|| proven.clone());
        if first.identity == proven.identity {
            context.set_error(X509VerifyResult::OK);
            return true;
        }
    }
    ffi::set_verify_error(context, NOBODY);
    false
}

/// Why somebody was not believed.
pub(crate) fn why(result: X509VerifyResult) -> String {
    match result.as_raw() {
        NOBODY => "nobody has this name or key".to_owned(),
        _ => result.error_string().to_owned(),
    }
}

fn raw_key(key: &[u8], credentials: &dyn Credentials) -> Option<Proven> {
    let digest = raw_key_digest(key);
    let is_of_one = credentials.raw_key(&digest)?;
    Some(Proven {
        identity: Identity::RawKey(digest),
        is_of_one,
    })
}

/// Common name, then DNS names and URIs of the subject alternative name, in their order.
fn names(certificate: &X509Ref) -> Vec<String> {
    let subject = certificate.subject_name();
    let common = subject.entries_by_nid(Nid::COMMONNAME);
    let common = common.filter_map(|entry| entry.data().to_string().ok());
    let mut names: Vec<String> = common.collect();
    for other in certificate.subject_alt_names().into_iter().flatten() {
        let name = other.dnsname().or_else(|| other.uri());
        names.extend(name.map(str::to_owned));
    }
    // OpenSSL puts U+FFFD for what can't be read.
    let is_bad = |c: char| c.is_control() || c == char::REPLACEMENT_CHARACTER;
    let fits = |name: &String| (1..=MAX_NAME).contains(&name.len()) && !name.contains(is_bad);
    names.retain(fits);
    names.truncate(MAX_NAMES);
    names
}
