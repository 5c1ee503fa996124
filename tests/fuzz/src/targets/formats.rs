//! A payload at one of twelve paths: what was decoded survives encoding and decoding.

use lwm2m_objects::format::{decode_all, encode_vec};
use lwm2m_objects::model::Builtin;
use lwm2m_objects::{ContentFormat, OwnedValue, Path};

/// Paths that a payload is read at: every depth, every type of resource.
const BASES: [Path; 12] = [
    Path::ROOT,
    Path::object(3),
    Path::instance(3, 0),
    Path::resource(3, 0, 0),
    Path::resource(3, 0, 9),
    Path::resource(3, 0, 11),
    Path::resource_instance(3, 0, 11, 0),
    Path::resource(3, 0, 13),
    Path::resource(5, 0, 0),
    Path::resource(6, 0, 0),
    Path::resource(1, 0, 6),
    Path::instance(4242, 1),
];

pub(crate) fn text(data: &[u8]) {
    format(ContentFormat::TEXT, data);
}

pub(crate) fn cbor(data: &[u8]) {
    format(ContentFormat::CBOR, data);
}

pub(crate) fn tlv(data: &[u8]) {
    format(ContentFormat::TLV, data);
}

pub(crate) fn lwm2m_cbor(data: &[u8]) {
    format(ContentFormat::LWM2M_CBOR, data);
}

pub(crate) fn senml_json(data: &[u8]) {
    format(ContentFormat::SENML_JSON, data);
}

pub(crate) fn senml_cbor(data: &[u8]) {
    format(ContentFormat::SENML_CBOR, data);
}

/// Decodes at the path that the first byte chooses; what comes out must survive a round trip.
fn format(format: ContentFormat, data: &[u8]) {
    let Some((choice, payload)) = data.split_first() else {
        return;
    };
    let base = BASES[usize::from(*choice) % BASES.len()];
    let Ok(mut values) = decode_all(format, &base, payload, &Builtin) else {
        return;
    };
    values.sort_by_key(|value| value.0);
    // A value may come twice with different times; encoders take each path once.
    if values.windows(2).any(|pair| pair[0].0 == pair[1].0) {
        return;
    }
    let Ok(encoded) = encode_vec(format, &base, &values) else {
        return;
    };
    let again = decode_all(format, &base, &encoded, &Builtin);
    let same = again.as_ref().is_ok_and(|again| same(&values, again));
    assert!(same, "{values:?} became {again:?} by {encoded:02x?}");
}

/// Equal, where NaN equals NaN, zeros have no sign, and a number without a definition may be an
/// integer or not.
fn same(a: &[(Path, OwnedValue)], b: &[(Path, OwnedValue)]) -> bool {
    a.len() == b.len()
        && a.iter().zip(b).all(|((path, value), (again, decoded))| {
            let numbers = value.as_f64().zip(decoded.as_f64());
            path == again
                && (value == decoded
                    || numbers.is_some_and(|(x, y)| x == y || x.is_nan() && y.is_nan()))
        })
}
