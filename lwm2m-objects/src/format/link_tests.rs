use proptest::prelude::*;

use super::{LinkWriter, links, registration};
use crate::Path;
use crate::format::{ContentFormat, FormatError};
use crate::model::Version;

type Objects = Vec<(Path, Option<Version>)>;

fn objects(text: &str) -> Objects {
    registration(text.as_bytes()).unwrap().objects().collect()
}

fn formats(text: &str) -> Vec<u16> {
    registration(text.as_bytes())
        .unwrap()
        .content_formats()
        .map(|format| format.0)
        .collect()
}

#[test]
fn registrations_of_the_field() {
    let text = concat!(
        r#"</>;rt="oma.lwm2m";ct="60 110 112 11542 11543","#,
        r#"</1>;ver=1.1,</1/0>,</3>;ver="1.1",</3/0>,</2>,</5/0>"#,
    );
    let expected = [
        (Path::object(1), Some(Version::V1_1)),
        (Path::instance(1, 0), None),
        (Path::object(3), Some(Version::V1_1)),
        (Path::instance(3, 0), None),
        (Path::object(2), None),
        (Path::instance(5, 0), None),
    ];
    assert_eq!(objects(text), expected);
    assert_eq!(formats(text), [60, 110, 112, 11542, 11543]);
    assert_eq!(formats(r#"</>;rt="oma.lwm2m";ct=11543,</3/0>"#), [11543]);
    assert_eq!(formats(r#"</>;rt="oma.lwm2m";ct="112",</3/0>"#), [112]);
    assert_eq!(formats(r#"</>;rt="oma.lwm2m",</3/0>"#), [0; 0]);
    assert_eq!(formats("</3/0>"), [0; 0]);
    assert_eq!(objects(""), []);
    assert_eq!(
        objects("</3/0>, </4/0> ;x"),
        [(Path::instance(3, 0), None), (Path::instance(4, 0), None),]
    );
}

#[test]
fn another_root_and_foreign_links() {
    let text = r#"</lwm2m>;rt="oma.lwm2m";ct=112,</lwm2m/3/0>,</lwm2m/1>;ver=1.1,</x>,</3/1>"#;
    let parsed = registration(text.as_bytes()).unwrap();
    assert_eq!(parsed.root(), "/lwm2m");
    assert_eq!(
        objects(text),
        [
            (Path::instance(3, 0), None),
            (Path::object(1), Some(Version::V1_1)),
        ]
    );
    let text = r#"</sensors>;if="a,b;c>";title="a \"quoted\", one",</3/0/1>,</3/0>"#;
    assert_eq!(objects(text), [(Path::instance(3, 0), None)]);
}

#[test]
fn discover_answers() {
    let text = r#"</3>;ver=1.1;pmin=10,</3/0/6>;dim=8;gt=3.5;x,</3/0/9>;name="a b""#;
    let parsed: Vec<_> = links(text.as_bytes())
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(parsed.len(), 3);
    assert_eq!(parsed[0].attribute("pmin"), Some("10"));
    assert_eq!(parsed[1].path(), Ok(Path::resource(3, 0, 6)));
    let attributes: Vec<_> = parsed[1].attributes().collect();
    assert_eq!(
        attributes,
        [("dim", Some("8")), ("gt", Some("3.5")), ("x", None)]
    );
    assert_eq!(parsed[1].attribute("x"), Some(""));
    assert_eq!(parsed[2].attribute("name"), Some("a b"));
    assert_eq!(parsed[2].attribute("nam"), None);
}

#[test]
fn refused() {
    let cases = [
        ("3/0", FormatError::Syntax),
        ("</3/0", FormatError::Truncated),
        ("</3/0>,", FormatError::Truncated),
        ("</3/0>x", FormatError::Syntax),
        ("</3/0></4/0>", FormatError::Syntax),
        ("</3/0>;", FormatError::Syntax),
        ("</3/0>;=1", FormatError::Syntax),
        ("</3/0>;a=\"b", FormatError::Truncated),
        ("</3/0>;a=\"b\"c", FormatError::Syntax),
        ("<</3/0>", FormatError::Syntax),
    ];
    for (text, error) in cases {
        assert_eq!(registration(text.as_bytes()).err(), Some(error), "{text}");
    }
    assert_eq!(registration(b"\xff").err(), Some(FormatError::NotUtf8));
}

#[test]
fn writing() {
    let mut out = Vec::new();
    let mut writer = LinkWriter::new(&mut out);
    writer.root([ContentFormat::CBOR, ContentFormat::SENML_CBOR].into_iter());
    writer.link(&Path::object(3)).version(Version::V1_1);
    writer
        .link(&Path::instance(3, 0))
        .version(Version::V1_0)
        .number("pmin", 10);
    writer
        .link(&Path::resource(3, 0, 9))
        .token("gt", "1.5")
        .quoted("title", r#"a"b\"#);
    let text = String::from_utf8(out).unwrap();
    let expected = concat!(
        r#"</>;rt="oma.lwm2m";ct="60 112",</3>;ver=1.1,</3/0>;pmin=10,"#,
        r#"</3/0/9>;gt=1.5;title="a\"b\\""#,
    );
    assert_eq!(text, expected);
    assert_eq!(
        objects(&text),
        [
            (Path::object(3), Some(Version::V1_1)),
            (Path::instance(3, 0), None),
        ]
    );
    let mut out = Vec::new();
    LinkWriter::new(&mut out).root([ContentFormat::TLV].into_iter());
    assert_eq!(out, br#"</>;rt="oma.lwm2m";ct=11542"#);
}

proptest! {
    #[test]
    fn any_text(text in "[</>;=\",a0-3 .\\\\rtvc]{0,40}") {
        if let Ok(registration) = registration(text.as_bytes()) {
            let _ = (registration.root(), registration.objects().count());
        }
    }

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = registration(&bytes).map(|registration| registration.objects().count());
    }
}
