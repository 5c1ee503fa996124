//! All formats with random values and with random bytes.

use std::collections::BTreeMap;

use lwm2m_objects::cbor::{self, Major};
use lwm2m_objects::format::{self, ContentFormat, decode_all, encode, encode_vec, link};
use lwm2m_objects::model::{self, Builtin, NoModels, Range, ResourceModel};
use lwm2m_objects::{
    Counter, FormatError, Objlnk, OwnedValue, Path, Record, ValueType, Window, capability,
};
use proptest::prelude::*;

const PACKS: [ContentFormat; 4] = [
    ContentFormat::TLV,
    ContentFormat::SENML_CBOR,
    ContentFormat::SENML_JSON,
    ContentFormat::LWM2M_CBOR,
];
const SINGLES: [ContentFormat; 2] = [ContentFormat::TEXT, ContentFormat::CBOR];
const ALL: [ContentFormat; 7] = [
    ContentFormat::TEXT,
    ContentFormat::OPAQUE,
    ContentFormat::CBOR,
    ContentFormat::TLV,
    ContentFormat::SENML_CBOR,
    ContentFormat::SENML_JSON,
    ContentFormat::LWM2M_CBOR,
];

type Values = Vec<(Path, OwnedValue)>;

fn value(of: ValueType) -> BoxedStrategy<OwnedValue> {
    match of {
        ValueType::String => ".{0,12}".prop_map(OwnedValue::String).boxed(),
        ValueType::Corelnk => "[ -~]{0,12}".prop_map(OwnedValue::Corelnk).boxed(),
        ValueType::Integer => any::<i64>().prop_map(OwnedValue::Integer).boxed(),
        ValueType::Time => any::<i32>()
            .prop_map(|v| OwnedValue::Time(i64::from(v)))
            .boxed(),
        ValueType::UnsignedInteger => any::<u64>().prop_map(OwnedValue::UnsignedInteger).boxed(),
        ValueType::Float => prop_oneof![
            any::<f64>().prop_filter("finite", |v| v.is_finite()),
            any::<f32>()
                .prop_filter("finite", |v| v.is_finite())
                .prop_map(f64::from),
        ]
        .prop_map(OwnedValue::Float)
        .boxed(),
        ValueType::Boolean => any::<bool>().prop_map(OwnedValue::Boolean).boxed(),
        ValueType::Opaque => prop::collection::vec(any::<u8>(), 0..300)
            .prop_map(OwnedValue::Opaque)
            .boxed(),
        ValueType::Objlnk => any::<(u16, u16)>()
            .prop_map(|(object, instance)| OwnedValue::Objlnk(Objlnk { object, instance }))
            .boxed(),
        ValueType::None => unreachable!(),
    }
}

fn resources() -> Vec<(u16, &'static ResourceModel)> {
    let all = model::models().iter();
    all.flat_map(|object| {
        object
            .resources()
            .iter()
            .map(|resource| (object.id(), resource))
    })
    .filter(|(_, resource)| resource.value_type() != ValueType::None)
    .collect()
}

/// A value of a resource that is defined, at a path that fits the definition.
fn record() -> impl Strategy<Value = (Path, OwnedValue)> {
    (
        prop::sample::select(resources()),
        0u16..3,
        prop_oneof![0u16..3, 250u16..400],
    )
        .prop_flat_map(|((object, resource), instance, index)| {
            let path = if resource.multiple() {
                Path::resource_instance(object, instance, resource.id(), index)
            } else {
                Path::resource(object, instance, resource.id())
            };
            (Just(path), value(resource.value_type()))
        })
}

/// Values of one object, in order.
fn records() -> impl Strategy<Value = Values> {
    prop::collection::vec(record(), 1..60).prop_map(|records| {
        let object = records[0].0.truncated(1);
        let tree: BTreeMap<_, _> = records
            .into_iter()
            .filter(|(path, _)| path.starts_with(&object))
            .collect();
        tree.into_iter().collect()
    })
}

fn same(left: &Values, right: &Values) -> bool {
    left == right
}

proptest! {
    #[test]
    fn packs_round_trip(values in records(), depth in 1usize..4) {
        let base = values[0].0.truncated(depth);
        let values: Values =
            values.into_iter().filter(|(path, _)| path.starts_with(&base)).collect();
        for format in PACKS {
            let bytes = encode_vec(format, &base, &values).unwrap();
            let decoded = decode_all(format, &base, &bytes, &Builtin).unwrap();
            prop_assert!(same(&decoded, &values), "{format}: {decoded:?} is not {values:?}");
            let mut counter = Counter::new();
            encode(format, &base, &values, &mut counter).unwrap();
            prop_assert_eq!(counter.total(), bytes.len());
        }
    }

    #[test]
    fn lwm2m_cbor_has_two_shapes(values in records(), joins in any::<u64>(), open in any::<bool>()) {
        let base = values[0].0.truncated(1);
        let bytes = shaped(&values, 0, joins, open);
        let decoded = decode_all(ContentFormat::LWM2M_CBOR, &base, &bytes, &Builtin);
        prop_assert_eq!(decoded, Ok(values), "{:02x?}", bytes);
    }

    #[test]
    fn singles_round_trip((path, value) in record()) {
        let values = vec![(path, value)];
        for format in SINGLES.into_iter().chain(PACKS) {
            let bytes = encode_vec(format, &path, &values).unwrap();
            let decoded = decode_all(format, &path, &bytes, &Builtin).unwrap();
            prop_assert!(same(&decoded, &values), "{format}: {decoded:?} is not {values:?}");
        }
    }

    #[test]
    fn blocks_join_to_the_whole(values in records(), size in 1usize..70) {
        let base = values[0].0.truncated(1);
        for format in PACKS {
            let whole = encode_vec(format, &base, &values).unwrap();
            let mut joined = Vec::new();
            loop {
                let mut buffer = vec![0; size];
                let mut window = Window::new(&mut buffer, joined.len());
                encode(format, &base, &values, &mut window).unwrap();
                prop_assert_eq!(window.total(), whole.len());
                let more = window.more();
                joined.extend_from_slice(window.finish());
                if !more {
                    break;
                }
            }
            prop_assert_eq!(joined, whole);
        }
    }

    #[test]
    fn any_bytes(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        path in any::<[u8; 4]>(),
        depth in 0usize..5,
    ) {
        let path = Path::resource_instance(
            u16::from(path[0] % 10),
            u16::from(path[1] % 2),
            u16::from(path[2] % 20),
            u16::from(path[3] % 2),
        );
        for format in ALL {
            bounded(format, &path.truncated(depth), &bytes);
        }
    }

    #[test]
    fn damaged_payloads(
        values in records(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<bool>(),
    ) {
        let base = values[0].0.truncated(1);
        for format in PACKS {
            let mut bytes = encode_vec(format, &base, &values).unwrap();
            let at = at.index(bytes.len());
            if cut {
                bytes.truncate(at);
            } else {
                bytes[at] = byte;
            }
            bounded(format, &base, &bytes);
        }
    }

    #[test]
    fn json_like_text(text in "[\\[\\]{}\":,nvsbd0-9/e.\\\\u+ -]{0,60}") {
        bounded(ContentFormat::SENML_JSON, &Path::ROOT, text.as_bytes());
    }

    #[test]
    fn paths(text in "[/0-9a-]{0,26}") {
        if let Ok(path) = text.parse::<Path>() {
            prop_assert_eq!(path.to_string(), text);
        }
    }

    #[test]
    fn the_digest_takes_any_records(values in records()) {
        prop_assert_eq!(capability::digest(&values).len(), capability::DIGEST_LEN);
        let _ = capability::Capability::from_values(&values);
    }

    #[test]
    fn checks_never_panic((path, value) in record()) {
        let object = model::object(path.object_id().unwrap()).unwrap();
        for resource in object.resources() {
            let result = resource.check(&value.as_value());
            let fits = value.value_type() == resource.value_type();
            prop_assert!(fits || result.is_err());
            if resource.range() == Range::Any {
                prop_assert_eq!(result.is_ok(), fits);
            }
        }
    }
}

/// The values as maps, each key with as many ids as a bit after the other of `joins` says; maps of
/// indefinite length if `open`.
fn shaped(values: &[(Path, OwnedValue)], depth: usize, joins: u64, open: bool) -> Vec<u8> {
    let mut entries = Vec::new();
    let mut count = 0;
    let mut rest = values;
    while let Some((first, value)) = rest.first() {
        let mut end = depth + 1;
        while end < first.ids().len() && joins >> ((count + end) % 64) & 1 == 1 {
            end += 1;
        }
        let key = first.truncated(end);
        let same = rest
            .iter()
            .take_while(|(path, _)| path.starts_with(&key))
            .count();
        let ids = &first.ids()[depth..end];
        if ids.len() > 1 {
            cbor::head(&mut entries, Major::Array, ids.len() as u64);
        }
        for id in ids {
            cbor::head(&mut entries, Major::Unsigned, u64::from(*id));
        }
        if end == first.ids().len() {
            let one = vec![(*first, value.clone())];
            entries.extend(encode_vec(ContentFormat::CBOR, first, &one).expect("a value"));
        } else {
            entries.extend(shaped(&rest[..same], end, joins.rotate_right(7), open));
        }
        rest = &rest[same..];
        count += 1;
    }
    let mut map = Vec::new();
    if open {
        map.push(0xbf);
        entries.push(0xff);
    } else {
        cbor::head(&mut map, Major::Map, count as u64);
    }
    map.extend(entries);
    map
}

/// Whatever the bytes are: no more records than bytes, with definitions and without, and no more
/// text and bytes in their values than the payload has.
fn bounded(format: ContentFormat, base: &Path, bytes: &[u8]) {
    for models in [&Builtin as &dyn model::Models, &NoModels] {
        let mut scratch = vec![0; bytes.len()];
        let mut records = 0;
        let mut held = 0;
        let result = format::decode(format, base, bytes, models, &mut scratch, &mut |record| {
            records += 1;
            held += record.value.as_bytes().map_or(0, <[u8]>::len);
            held += record.value.as_str().map_or(0, str::len);
            assert!(
                record.path.starts_with(base),
                "{} not in {base}",
                record.path
            );
            Ok(())
        });
        assert!(records <= bytes.len().max(1));
        assert!(held <= bytes.len());
        assert_ne!(result, Err(FormatError::ScratchTooSmall));
        let _ = link::registration(bytes);
        let _ = capability::kernels(bytes);
    }
}

#[test]
fn a_visitor_can_stop() {
    let values = vec![(Path::resource(3, 0, 9), OwnedValue::Integer(1))];
    for format in PACKS {
        let bytes = encode_vec(format, &Path::object(3), &values).unwrap();
        let mut stop = |_: Record<'_>| Err(FormatError::Stopped);
        let result = format::decode(
            format,
            &Path::object(3),
            &bytes,
            &Builtin,
            &mut [],
            &mut stop,
        );
        assert_eq!(result, Err(FormatError::Stopped));
    }
}

#[test]
fn formats_without_a_codec_are_refused() {
    for format in [ContentFormat::LINK, ContentFormat::OMA_JSON] {
        let unsupported = FormatError::UnsupportedFormat(format);
        assert!(!format.is_supported());
        assert_eq!(
            decode_all(format, &Path::ROOT, b"", &Builtin),
            Err(unsupported)
        );
        assert_eq!(
            encode_vec(format, &Path::ROOT, &Values::new()),
            Err(unsupported)
        );
    }
}

#[test]
fn a_pack_without_values() {
    for format in PACKS {
        let bytes = encode_vec(format, &Path::object(3), &Values::new()).unwrap();
        assert_eq!(
            decode_all(format, &Path::object(3), &bytes, &Builtin),
            Ok(Values::new())
        );
    }
}
