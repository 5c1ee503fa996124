//! The ClientHello, read before anything is believed: RFC 6347 §4.2.1, RFC 5246 §7.4.1.2.

/// Extension with a Connection ID (RFC 9146 §3).
pub(crate) const CONNECTION_ID: u16 = 54;

const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
/// DTLS 1.0, which a HelloVerifyRequest carries for all versions (RFC 6347 §4.2.1).
const DTLS_1_0: [u8; 2] = [0xfe, 0xff];

/// A ClientHello that is alone and whole in its datagram, as every device's is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientHello<'d> {
    /// Epoch (0) and sequence number of its record.
    pub number: [u8; 8],
    /// What the client is named by during the handshake.
    pub random: &'d [u8; 32],
    /// Session to resume; empty for none.
    pub session: &'d [u8],
    /// What a HelloVerifyRequest gave it; empty at first.
    pub cookie: &'d [u8],
    /// Cipher suites, two bytes each.
    pub suites: &'d [u8],
    /// Compression methods, a byte each.
    pub compression: &'d [u8],
    /// Connection ID that it wants in records to it; none without the extension.
    pub connection_id: Option<&'d [u8]>,
}

struct Reader<'d>(&'d [u8]);

impl<'d> Reader<'d> {
    fn take(&mut self, len: usize) -> Option<&'d [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<&'d [u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(taken)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(|bytes| u16::from_be_bytes(*bytes))
    }

    fn vector8(&mut self) -> Option<&'d [u8]> {
        let [len] = *self.array()?;
        self.take(usize::from(len))
    }

    fn vector16(&mut self) -> Option<&'d [u8]> {
        let len = self.u16()?;
        self.take(usize::from(len))
    }

    fn end(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

/// Whether a datagram begins as one with a ClientHello does.
pub(crate) fn is_hello(datagram: &[u8]) -> bool {
    matches!(datagram, [HANDSHAKE, 0xfe, _, 0, 0, ..]) && datagram.get(13) == Some(&CLIENT_HELLO)
}

impl<'d> ClientHello<'d> {
    /// Reads a datagram; none if there is anything in it that a ClientHello must not have, or
    /// anything beside it.
    #[must_use]
    pub fn parse(datagram: &'d [u8]) -> Option<Self> {
        let mut record = Reader(datagram);
        let [kind, major, _] = *record.array()?;
        let number = *record.array::<8>()?;
        let mut message = Reader(record.vector16()?);
        record.end()?;
        if kind != HANDSHAKE || major != DTLS_1_0[0] || number[..2] != [0, 0] {
            return None;
        }
        let [kind, len @ ..] = *message.array::<4>()?;
        let [_, _, offset @ .., a, b, c] = *message.array::<8>()?;
        let rest = u32::try_from(message.0.len()).ok()?.to_be_bytes();
        let whole = offset == [0; 3] && len == [a, b, c] && rest == [0, a, b, c];
        if kind != CLIENT_HELLO || !whole {
            return None;
        }
        Self::parse_body(number, message)
    }

    fn parse_body(number: [u8; 8], mut body: Reader<'d>) -> Option<Self> {
        let [major, _] = *body.array()?;
        let random = body.array()?;
        let session = body.vector8()?;
        let cookie = body.vector8()?;
        let suites = body.vector16()?;
        let compression = body.vector8()?;
        let suites_are_whole = !suites.is_empty() && suites.len().is_multiple_of(2);
        if major != DTLS_1_0[0] || session.len() > 32 || !suites_are_whole {
            return None;
        }
        if !compression.contains(&0) {
            return None;
        }
        let mut connection_id = None;
        if !body.0.is_empty() {
            let mut extensions = Reader(body.vector16()?);
            body.end()?;
            while !extensions.0.is_empty() {
                let kind = extensions.u16()?;
                let mut content = Reader(extensions.vector16()?);
                if kind == CONNECTION_ID {
                    let cid = content.vector8()?;
                    content.end()?;
                    if connection_id.replace(cid).is_some() {
                        return None;
                    }
                }
            }
        }
        Some(Self {
            number,
            random,
            session,
            cookie,
            suites,
            compression,
            connection_id,
        })
    }

    /// The datagram that answers it with a cookie. It has the number of the ClientHello's record,
    /// so that nothing needs to be remembered (RFC 6347 §4.2.1).
    #[must_use]
    pub fn verify_request(&self, cookie: &[u8; 16]) -> Vec<u8> {
        const BODY: u8 = 2 + 1 + 16;
        let mut datagram = vec![HANDSHAKE];
        datagram.extend_from_slice(&DTLS_1_0);
        datagram.extend_from_slice(&self.number);
        datagram.extend_from_slice(&[0, 12 + BODY]);
        datagram.extend_from_slice(&[3, 0, 0, BODY, 0, 0, 0, 0, 0, 0, 0, BODY]);
        datagram.extend_from_slice(&DTLS_1_0);
        datagram.push(16);
        datagram.extend_from_slice(cookie);
        datagram
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::hello;

    #[test]
    fn what_a_client_says() {
        let datagram = hello(b"cookie", Some(b"abc"));
        let read = ClientHello::parse(&datagram).unwrap();
        assert!(is_hello(&datagram));
        assert_eq!(read.number, [0, 0, 0, 0, 0, 0, 0, 7]);
        assert_eq!(read.random, &[0x33; 32]);
        assert_eq!((read.session, read.cookie), (&[][..], &b"cookie"[..]));
        assert_eq!(read.suites, [0xc0, 0xa8, 0, 0xff]);
        assert_eq!(read.connection_id, Some(&b"abc"[..]));
        let datagram = hello(b"", None);
        let read = ClientHello::parse(&datagram).unwrap();
        assert_eq!((read.cookie, read.connection_id), (&[][..], None));
    }

    #[test]
    fn nothing_shorter_or_longer_is_one() {
        let datagram = hello(b"cookie", Some(b""));
        for len in 0..datagram.len() {
            assert_eq!(ClientHello::parse(&datagram[..len]), None, "{len}");
        }
        let longer = [&datagram[..], &[0]].concat();
        assert_eq!(ClientHello::parse(&longer), None);
    }

    #[test]
    fn what_no_hello_says() {
        let good = hello(b"", Some(b"ab"));
        // Type, version, epoch, message type, length, fragment offset and length, version of the
        // client, length of the session, of the suites, of an extension.
        for at in [
            0, 1, 3, 4, 13, 14, 15, 16, 19, 20, 21, 22, 23, 24, 25, 59, 61, 62,
        ] {
            let mut bad = good.clone();
            bad[at] ^= 0x41;
            assert_eq!(ClientHello::parse(&bad), None, "byte {at}");
        }
    }

    #[test]
    fn the_answer_has_the_number_of_the_question() {
        let datagram = hello(b"", None);
        let answer = ClientHello::parse(&datagram)
            .unwrap()
            .verify_request(&[0xcc; 16]);
        assert_eq!(answer[..11], [22, 0xfe, 0xff, 0, 0, 0, 0, 0, 0, 0, 7]);
        assert_eq!(answer.len(), 13 + 12 + 19);
        assert_eq!(answer[answer.len() - 17..][..2], [16, 0xcc]);
        assert!(answer.len() < datagram.len(), "an attacker gains nothing");
    }
}
