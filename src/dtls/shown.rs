//! Which of its certificates the server shows.

use openssl::error::ErrorStack;
use openssl::nid::Nid;
use openssl::ssl::{NameType, SniError, SslContext, SslContextBuilder, SslRef};

use crate::ffi;
use crate::own::Pair;

/// Shows a key, and its certificate if there is one.
pub(crate) fn set_up(builder: &mut SslContextBuilder, pair: &Pair) -> Result<(), ErrorStack> {
    let mut chain = pair.chain.iter();
    if let Some(certificate) = chain.next() {
        builder.set_certificate(certificate)?;
    }
    for between in chain {
        builder.add_extra_chain_cert(between.clone())?;
    }
    builder.set_private_key(&pair.key)?;
    ffi::offer_raw_keys(builder, !pair.chain.is_empty())
}

/// The DNS names of a certificate; its common name if it has none (RFC 6125 §6.4.4).
pub(crate) fn names(pair: &Pair) -> Vec<String> {
    let Some(own) = pair.chain.first() else {
        return Vec::new();
    };
    let other = own.subject_alt_names();
    let dns = other.iter().flatten().filter_map(|name| name.dnsname());
    let names: Vec<_> = dns.map(str::to_owned).collect();
    if !names.is_empty() {
        return names;
    }
    let common = own.subject_name().entries_by_nid(Nid::COMMONNAME);
    let common = common.filter_map(|entry| entry.data().to_string().ok());
    common.collect()
}

/// Whether a name of a certificate is the one that is asked for; `*` stands for its first label
/// (RFC 6125 §6.4.3).
fn fits(name: &str, asked: &str) -> bool {
    let asked = asked.strip_suffix('.').unwrap_or(asked);
    match name.strip_prefix("*.") {
        None => name.eq_ignore_ascii_case(asked),
        Some(domain) => asked
            .split_once('.')
            .is_some_and(|(label, rest)| !label.is_empty() && rest.eq_ignore_ascii_case(domain)),
    }
}

/// Lets the certificate be shown that has the name which the client asks for (RFC 6066 §3); the
/// first one if none has it.
pub(crate) fn choose(
    ssl: &mut SslRef,
    first: &[String],
    others: &[(Vec<String>, SslContext)],
) -> Result<(), SniError> {
    let asked = ssl.servername(NameType::HOST_NAME);
    let asked = asked.ok_or(SniError::NOACK)?.to_owned();
    let has = |names: &[String]| names.iter().any(|name| fits(name, &asked));
    if has(first) {
        return Ok(());
    }
    let other = others.iter().find(|(names, _)| has(names));
    let (_, context) = other.ok_or(SniError::NOACK)?;
    ssl.set_ssl_context(context)
        .map_err(|_| SniError::ALERT_FATAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_fit() {
        for (name, asked, expected) in [
            ("a.example", "a.example", true),
            ("A.example", "a.EXAMPLE", true),
            ("a.example", "a.example.", true),
            ("a.example", "b.example", false),
            ("*.example", "a.example", true),
            ("*.example", "a.b.example", false),
            ("*.example", "example", false),
            ("*.example", ".example", false),
            ("*", "a", false),
        ] {
            assert_eq!(fits(name, asked), expected, "{name}, {asked}");
        }
    }
}
