use crate::format::{ContentFormat, FormatError, decode_all, encode_vec};
use crate::model::{Builtin, NoModels};
use crate::{Objlnk, OwnedValue, Path, PathError};

const JSON: ContentFormat = ContentFormat::SENML_JSON;

#[test]
fn device_of_the_specification() {
    // LwM2M TS 1.1 §7.4.5, the answer to a read of /3/0 (shortened)
    let text = r#"[{"bn":"/3/0/","n":"0","vs":"Open Mobile Alliance"},
        {"n":"6/0","v":1},{"n":"6/1","v":5},{"n":"9","v":100},
        {"n":"13","v":1367491215},{"n":"14","vs":"+02:00"},{"n":"16","vs":"U"}]"#;
    let values = decode_all(JSON, &Path::instance(3, 0), text.as_bytes(), &Builtin).unwrap();
    let resource = |id| Path::resource(3, 0, id);
    let expected = vec![
        (
            resource(0),
            OwnedValue::String("Open Mobile Alliance".into()),
        ),
        (Path::resource_instance(3, 0, 6, 0), OwnedValue::Integer(1)),
        (Path::resource_instance(3, 0, 6, 1), OwnedValue::Integer(5)),
        (resource(9), OwnedValue::Integer(100)),
        (resource(13), OwnedValue::Time(1_367_491_215)),
        (resource(14), OwnedValue::String("+02:00".into())),
        (resource(16), OwnedValue::String("U".into())),
    ];
    assert_eq!(values, expected);
    let bytes = encode_vec(JSON, &Path::instance(3, 0), &expected).unwrap();
    let compact: String = text.split('\n').map(str::trim_start).collect();
    assert_eq!(String::from_utf8(bytes).unwrap(), compact);
}

#[test]
fn object_links_of_the_specification() {
    // LwM2M TS 1.1 §7.4.5: object links and several objects in one pack
    let text = r#"[{"bn":"/", "n":"65/0/0/0","vlo":"66:0"}, {"n":"65/0/0/1","vlo":"66:1"},
        {"n":"65/0/1","vs":"8613800755500"}, {"n":"65/0/2","v":1}]"#;
    let values = decode_all(JSON, &Path::ROOT, text.as_bytes(), &NoModels).unwrap();
    assert_eq!(values.len(), 4);
    let link = OwnedValue::Objlnk(Objlnk {
        object: 66,
        instance: 1,
    });
    assert_eq!(values[1], (Path::resource_instance(65, 0, 0, 1), link));
}

#[test]
fn all_value_fields() {
    let base = Path::instance(9999, 0);
    let values = vec![
        (
            Path::resource(9999, 0, 0),
            OwnedValue::String("a\"\\\n\u{1}\u{e9}\u{1f600}".into()),
        ),
        (Path::resource(9999, 0, 1), OwnedValue::Integer(-5)),
        (
            Path::resource(9999, 0, 2),
            OwnedValue::UnsignedInteger(u64::MAX),
        ),
        (Path::resource(9999, 0, 3), OwnedValue::Float(0.1)),
        (Path::resource(9999, 0, 4), OwnedValue::Boolean(false)),
        (
            Path::resource(9999, 0, 5),
            OwnedValue::Opaque(vec![0xfb, 0xff]),
        ),
        (Path::resource(9999, 0, 6), OwnedValue::Objlnk(Objlnk::NULL)),
    ];
    let bytes = encode_vec(JSON, &base, &values).unwrap();
    let text = concat!(
        r#"[{"bn":"/9999/0/","n":"0","vs":"a\"\\\n\u0001"#,
        "\u{e9}\u{1f600}",
        r#""},{"n":"1","v":-5},{"n":"2","v":18446744073709551615},{"n":"3","v":0.1},"#,
        r#"{"n":"4","vb":false},{"n":"5","vd":"-_8"},{"n":"6","vlo":"65535:65535"}]"#,
    );
    assert_eq!(String::from_utf8(bytes).unwrap(), text);
    assert_eq!(
        decode_all(JSON, &base, text.as_bytes(), &NoModels).unwrap(),
        values
    );
}

#[test]
fn escapes_and_order_of_fields() {
    let text =
        r#" [ { "\u0076s" : "\ud83d\ude00\/\u00e9" , "n":"\/3\/0\/0", "x": [ {"a":null} ] } ] "#;
    let values = decode_all(JSON, &Path::ROOT, text.as_bytes(), &Builtin).unwrap();
    let expected = OwnedValue::String("\u{1f600}/\u{e9}".into());
    assert_eq!(values, [(Path::resource(3, 0, 0), expected)]);
    let padded = br#"[{"n":"/5/0/0","vd":"-_8="}]"#;
    let values = decode_all(JSON, &Path::ROOT, padded, &Builtin).unwrap();
    assert_eq!(values[0].1, OwnedValue::Opaque(vec![0xfb, 0xff]));
}

#[test]
fn refused() {
    let decode = |text: &str| decode_all(JSON, &Path::object(3), text.as_bytes(), &Builtin);
    let deep = format!(r#"[{{"x":{}1{}}}]"#, "[".repeat(17), "]".repeat(17));
    let cases = [
        ("", FormatError::Truncated),
        ("[", FormatError::Truncated),
        ("{}", FormatError::Syntax),
        ("[{}", FormatError::BadPath(PathError::NoLeadingSlash)),
        ("[] x", FormatError::TrailingBytes),
        ("[,]", FormatError::Syntax),
        (r#"[{"n":"/3/0/9","v":1},]"#, FormatError::Syntax),
        (r#"[{"n":"/3/0/9","v":1,}]"#, FormatError::Syntax),
        (r#"[{"n":"/3/0/9","v":1}"#, FormatError::Truncated),
        (r#"[{"n":"/3/0/9"}]"#, FormatError::MissingValue),
        (
            r#"[{"n":"/3/0/9","v":1,"v":1}]"#,
            FormatError::DuplicateField,
        ),
        (
            r#"[{"n":"/3/0/9","v":1,"vb":true}]"#,
            FormatError::ManyValues,
        ),
        (r#"[{"n":"/3/0/9","v":01}]"#, FormatError::BadNumber),
        (r#"[{"n":"/3/0/9","v":"1"}]"#, FormatError::Syntax),
        (r#"[{"n":"/3/0/9","v":tru}]"#, FormatError::Syntax),
        (r#"[{"n":"/3/0/9","vb":1}]"#, FormatError::Syntax),
        (r#"[{"n":"/3/0/9","vb":tr"#, FormatError::Truncated),
        (r#"[{"n":"/3/0/9","x_":1}]"#, FormatError::UnknownField),
        (r#"[{"n":"/3/0/9","longer_":1}]"#, FormatError::UnknownField),
        (r#"[{"n":"/3/0/9","s":1}]"#, FormatError::Sum),
        (r#"[{"bver":11}]"#, FormatError::BadVersion),
        (r#"[{"n":"/3/0/0","vs":"\x"}]"#, FormatError::Syntax),
        (r#"[{"n":"/3/0/0","vs":"\ud800"}]"#, FormatError::Syntax),
        (
            r#"[{"n":"/3/0/0","vs":"\ud800\u0041"}]"#,
            FormatError::Syntax,
        ),
        (r#"[{"n":"/3/0/0","vs":"\udc00"}]"#, FormatError::Syntax),
        ("[{\"n\":\"/3/0/0\",\"vs\":\"\n\"}]", FormatError::Syntax),
        (r#"[{"n":"/3/0/0","vs":"abc"#, FormatError::Truncated),
        (r#"[{"n":"/3/0/0","vs":"abc\"#, FormatError::Truncated),
        (
            r#"[{"n":"/3/0/22/0","vlo":"1"}]"#,
            FormatError::BadObjectLink,
        ),
        (
            r#"[{"n":"/123456789012345678901234567890/1/1","v":1}]"#,
            FormatError::BadPath(PathError::TooDeep),
        ),
        (deep.as_str(), FormatError::TooDeep),
    ];
    for (text, error) in cases {
        assert_eq!(decode(text), Err(error), "{text}");
    }
    let utf8 = b"[{\"n\":\"/3/0/0\",\"vs\":\"\xff\"}]";
    assert_eq!(
        decode_all(JSON, &Path::ROOT, utf8, &Builtin),
        Err(FormatError::NotUtf8)
    );
    let nan = [(Path::resource(6, 0, 0), crate::Value::Float(f64::NAN))];
    assert_eq!(
        encode_vec(JSON, &Path::object(6), &nan),
        Err(FormatError::BadNumber)
    );
}
