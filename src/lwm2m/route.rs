//! Which shard a datagram belongs to, without a table.
//!
//! Requests to `rd` and `bs` are routed by endpoint name, those to `rd/...` by the bucket in the
//! location, responses by the first byte of the token: none of these depends on the number of
//! shards that there were when the device learned them. Empty acknowledgements and resets are
//! routed by the top bits of the message id, as few as the shards need ([`id_bits`]), since a
//! message id must not come again within 247 s (RFC 7252 §4.4). One of those that answers
//! a message from before a restart finds nothing open, in whatever shard it ends.

use tinsmith_coap::{Message, MessageType, Numbering};

/// Bits of a message id that name the shard: 0 for one shard, 1 for two, 4 for sixteen.
pub(crate) fn id_bits(shards: usize) -> u8 {
    (usize::BITS - shards.saturating_sub(1).leading_zeros()).min(8) as u8
}

/// The bucket of an endpoint: FNV-1a folded to a byte, the same in every process and release,
/// since locations and tokens carry it. The shard is `bucket % shards`.
pub fn bucket(endpoint: &str) -> u8 {
    bucket_of(endpoint.as_bytes())
}

fn bucket_of(endpoint: &[u8]) -> u8 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in endpoint {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash.to_le_bytes().iter().fold(0, |a, b| a ^ b)
}

/// The last segment of a location: two digits of bucket, twelve of randomness.
pub(crate) fn location(bucket: u8, random: u64) -> String {
    format!("{bucket:02x}-{:012x}", random & LOCATION_MASK)
}

pub(crate) const LOCATION_MASK: u64 = 0xffff_ffff_ffff;

/// The inverse of [`location`]. Other spellings of the same numbers are not accepted.
pub(crate) fn parse_location(segment: &[u8]) -> Option<(u8, u64)> {
    let text = std::str::from_utf8(segment).ok()?;
    let (bucket, random) = text.split_once('-')?;
    let digits = |s: &str| {
        s.bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    if bucket.len() != 2 || random.len() != 12 || !digits(bucket) || !digits(random) {
        return None;
    }
    Some((
        u8::from_str_radix(bucket, 16).ok()?,
        u64::from_str_radix(random, 16).ok()?,
    ))
}

/// The endpoint name that a Register or a Bootstrap-Request says.
pub(crate) fn said_name<'m>(message: &Message<'m>) -> Option<&'m [u8]> {
    let mut queries = message.uri_query();
    let name = queries.find_map(|query| query.strip_prefix(b"ep="));
    name.filter(|name| !name.is_empty())
}

/// The shard of a datagram; 0 for what belongs to none.
pub fn route(datagram: &[u8], shards: usize) -> usize {
    owner(datagram, shards, || None).unwrap_or(0)
}

/// The shard that a datagram names; `None` if it names no device. `own_name` is asked for the name
/// of a sender that registers without saying it ([`Access::name_of`](super::Access::name_of)).
pub fn owner(
    datagram: &[u8],
    shards: usize,
    own_name: impl FnOnce() -> Option<String>,
) -> Option<usize> {
    if shards <= 1 {
        return Some(0);
    }
    let message = Message::parse(datagram).ok()?;
    let code = message.code();
    if code.is_request() {
        let mut path = message.uri_path();
        let first = path.next();
        let bucket = match (first, path.next()) {
            (Some(b"rd" | b"bs"), None) => said_name(&message)
                .map(bucket_of)
                .or_else(|| Some(bucket(&own_name()?))),
            (Some(b"rd"), Some(location)) => parse_location(location).map(|(bucket, _)| bucket),
            _ => None,
        };
        return bucket.map(|bucket| usize::from(bucket) % shards);
    }
    if code.is_response() {
        return message
            .token()
            .as_bytes()
            .first()
            .map(|b| usize::from(*b) % shards);
    }
    match message.message_type() {
        MessageType::Acknowledgement | MessageType::Reset => {
            let prefix = Numbering::prefix_of(id_bits(shards), message.message_id());
            Some(usize::from(prefix) % shards)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tinsmith_coap::{Builder, Code, OptionNumber, Token};

    #[test]
    fn locations_go_both_ways() {
        let text = location(0xa7, 0x1234_5678_9abc_def0);
        assert_eq!(text, "a7-56789abcdef0");
        assert_eq!(
            parse_location(text.as_bytes()),
            Some((0xa7, 0x5678_9abc_def0))
        );
        for bad in [
            "",
            "a7",
            "a7-",
            "A7-56789abcdef0",
            "a7-+6789abcdef0",
            "a7-56789abcdef00",
        ] {
            assert_eq!(parse_location(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn everything_of_a_device_reaches_its_shard() {
        let shards = 7;
        for ep in ["urn:imei:1", "device-2", "x"] {
            let shard = usize::from(bucket(ep)) % shards;
            let mut buf = [0; 256];
            let mut register = Builder::new(
                &mut buf,
                MessageType::Confirmable,
                Code::POST,
                1,
                Token::EMPTY,
            )
            .unwrap();
            register.option(OptionNumber::URI_PATH, b"rd").unwrap();
            register
                .option(OptionNumber::URI_QUERY, format!("ep={ep}").as_bytes())
                .unwrap();
            assert_eq!(route(register.as_bytes(), shards), shard);

            let mut buf = [0; 256];
            let mut update = Builder::new(
                &mut buf,
                MessageType::Confirmable,
                Code::POST,
                1,
                Token::EMPTY,
            )
            .unwrap();
            update.option(OptionNumber::URI_PATH, b"rd").unwrap();
            let location = location(bucket(ep), 99);
            update
                .option(OptionNumber::URI_PATH, location.as_bytes())
                .unwrap();
            assert_eq!(route(update.as_bytes(), shards), shard);

            let token = Token::with_prefix(bucket(ep), 77);
            let mut buf = [0; 256];
            let response = Builder::new(
                &mut buf,
                MessageType::NonConfirmable,
                Code::CONTENT,
                1,
                token,
            )
            .unwrap();
            assert_eq!(route(response.as_bytes(), shards), shard);

            let id = (shard as u16) << 13 | 5;
            let [high, low] = id.to_be_bytes();
            assert_eq!(route(&[0x60, 0, high, low], shards), shard);
            assert_eq!(route(&[0x70, 0, high, low], shards), shard);
        }
        assert_eq!(route(b"", shards), 0);
    }

    #[test]
    fn ids_name_each_shard_with_as_few_bits_as_it_takes() {
        for (shards, bits) in [
            (0, 0),
            (1, 0),
            (2, 1),
            (3, 2),
            (4, 2),
            (5, 3),
            (9, 4),
            (16, 4),
        ] {
            assert_eq!(id_bits(shards), bits, "{shards}");
            for shard in 0..shards {
                let id = ((shard as u32) << (16 - u32::from(bits))) as u16 | 3;
                let [high, low] = id.to_be_bytes();
                assert_eq!(route(&[0x60, 0, high, low], shards), shard);
            }
            // Ids of an earlier process with other shards must not lead out of the table.
            for high in 0..=255 {
                assert!(route(&[0x70, 0, high, 0], shards) < shards.max(1));
            }
        }
    }
}
