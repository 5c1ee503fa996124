//! Cookies: whoever sends one back gets datagrams at the address that he gives as his own. They
//! cost no memory (RFC 6347 §4.2.1).

use std::net::{IpAddr, SocketAddr};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::hello::ClientHello;

/// How long a secret makes new cookies; it is believed as long again.
const PERIOD_MS: u64 = 60_000;

pub(crate) const COOKIE: usize = 16;

/// The secrets that cookies are made with.
pub(crate) struct Cookies {
    seed: Zeroizing<[u8; 32]>,
    period: u64,
    current: Hmac<Sha256>,
    previous: Hmac<Sha256>,
}

impl Cookies {
    pub(crate) fn new(now: u64, seed: Zeroizing<[u8; 32]>) -> Self {
        let period = now / PERIOD_MS;
        Self {
            period,
            current: secret(&seed, period),
            previous: secret(&seed, period.wrapping_sub(1)),
            seed,
        }
    }

    fn renew(&mut self, now: u64) {
        let period = now / PERIOD_MS;
        if period != self.period {
            self.period = period;
            self.current = secret(&self.seed, period);
            self.previous = secret(&self.seed, period.wrapping_sub(1));
        }
    }

    /// For a hello from this address.
    pub(crate) fn make(
        &mut self,
        now: u64,
        from: SocketAddr,
        hello: &ClientHello<'_>,
    ) -> [u8; COOKIE] {
        self.renew(now);
        let made = bind(self.current.clone(), from, hello).finalize();
        let mut cookie = [0; COOKIE];
        for (place, byte) in cookie.iter_mut().zip(made.into_bytes()) {
            *place = byte;
        }
        cookie
    }

    /// Whether the cookie of this hello was made for it, not long ago.
    pub(crate) fn is_right(&mut self, now: u64, from: SocketAddr, hello: &ClientHello<'_>) -> bool {
        self.renew(now);
        hello.cookie.len() == COOKIE
            && [&self.current, &self.previous].into_iter().any(|secret| {
                let made = bind(secret.clone(), from, hello);
                made.verify_truncated_left(hello.cookie).is_ok()
            })
    }
}

fn secret(seed: &[u8; 32], period: u64) -> Hmac<Sha256> {
    let mut mac = keyed(seed);
    mac.update(b"cookies");
    mac.update(&period.to_be_bytes());
    keyed(&Zeroizing::new(mac.finalize().into_bytes().into()))
}

pub(crate) fn keyed(key: &[u8; 32]) -> Hmac<Sha256> {
    let mut block = Zeroizing::new([0; 64]);
    block[..32].copy_from_slice(key);
    Hmac::new((&*block).into())
}

/// The client may change nothing in its second hello but the cookie.
fn bind(mut mac: Hmac<Sha256>, from: SocketAddr, hello: &ClientHello<'_>) -> Hmac<Sha256> {
    match from.ip() {
        IpAddr::V4(ip) => mac.update(&ip.octets()),
        IpAddr::V6(ip) => mac.update(&ip.octets()),
    }
    mac.update(&from.port().to_be_bytes());
    mac.update(hello.random);
    for part in [hello.session, hello.suites, hello.compression] {
        mac.update(&(part.len() as u16).to_be_bytes());
        mac.update(part);
    }
    mac
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::hello;

    const FROM: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 7);

    fn cookies() -> Cookies {
        Cookies::new(1000, Zeroizing::new([9; 32]))
    }

    #[test]
    fn a_cookie_is_good_for_one_hello_from_one_address() {
        let mut cookies = cookies();
        let first = hello(b"", None);
        let cookie = cookies.make(1000, FROM, &ClientHello::parse(&first).unwrap());
        let second = hello(&cookie, None);
        let second = ClientHello::parse(&second).unwrap();
        assert!(cookies.is_right(2000, FROM, &second));
        let elsewhere = SocketAddr::new(FROM.ip(), 8);
        assert!(!cookies.is_right(2000, elsewhere, &second));
        let other = ClientHello {
            random: &[0x34; 32],
            ..second
        };
        assert!(!cookies.is_right(2000, FROM, &other));
        let short = ClientHello {
            cookie: &cookie[..15],
            ..second
        };
        assert!(!cookies.is_right(2000, FROM, &short));
        let empty = ClientHello {
            cookie: &[],
            ..second
        };
        assert!(!cookies.is_right(2000, FROM, &empty));
    }

    #[test]
    fn a_cookie_grows_old() {
        let mut cookies = cookies();
        let first = hello(b"", None);
        let cookie = cookies.make(1000, FROM, &ClientHello::parse(&first).unwrap());
        let second = hello(&cookie, None);
        let second = ClientHello::parse(&second).unwrap();
        assert!(cookies.is_right(PERIOD_MS * 2 - 1, FROM, &second));
        assert!(!cookies.is_right(PERIOD_MS * 2, FROM, &second));
    }
}
