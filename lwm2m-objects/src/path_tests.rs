use super::*;

#[test]
fn text_round_trip() {
    for text in [
        "/",
        "/3",
        "/3/0",
        "/3/0/1",
        "/3/0/11/0",
        "/65534/65534/65535/65535",
    ] {
        let path: Path = text.parse().unwrap();
        assert_eq!(path.text().as_str(), text);
        assert_eq!(std::format!("{path}"), text);
    }
}

#[test]
fn refused() {
    let cases = [
        ("", PathError::NoLeadingSlash),
        ("3", PathError::NoLeadingSlash),
        ("3/0", PathError::NoLeadingSlash),
        ("//", PathError::EmptySegment),
        ("/3/", PathError::EmptySegment),
        ("/3//1", PathError::EmptySegment),
        ("/03", PathError::NotANumber),
        ("/00", PathError::NotANumber),
        ("/+3", PathError::NotANumber),
        ("/3/a", PathError::NotANumber),
        ("/65536", PathError::TooLarge),
        ("/99999999", PathError::TooLarge),
        ("/65535", PathError::Reserved),
        ("/3/65535", PathError::Reserved),
        ("/1/2/3/4/5", PathError::TooDeep),
    ];
    for (text, error) in cases {
        assert_eq!(text.parse::<Path>(), Err(error), "{text}");
    }
}

#[test]
fn segments() {
    assert_eq!(
        Path::from_segments(["3", "0", "1"]),
        Ok(Path::resource(3, 0, 1))
    );
    assert_eq!(Path::from_segments::<[&str; 0]>([]), Ok(Path::ROOT));
    assert_eq!(Path::from_segments([""]), Ok(Path::ROOT));
    assert_eq!(Path::from_segments(["", "3"]), Err(PathError::EmptySegment));
    assert_eq!(Path::from_segments(["3", ""]), Err(PathError::EmptySegment));
    assert_eq!(
        Path::from_segments([&b"3"[..], b"\xff"]),
        Err(PathError::NotANumber)
    );
}

#[test]
fn senml_names() {
    let path = Path::resource(3, 0, 1);
    assert_eq!(Path::from_senml(b"/3/0/", b"1"), Ok(path));
    assert_eq!(Path::from_senml(b"/3/0/1", b""), Ok(path));
    assert_eq!(Path::from_senml(b"", b"/3/0/1"), Ok(path));
    assert_eq!(Path::from_senml(b"/3/0", b"/1"), Ok(path));
    assert_eq!(
        Path::from_senml(b"/3/0/", b"12"),
        Ok(Path::resource(3, 0, 12))
    );
    assert_eq!(Path::from_senml(b"", b""), Err(PathError::NoLeadingSlash));
    assert_eq!(Path::instance(3, 0).base_name().as_str(), "/3/0/");
    assert_eq!(Path::ROOT.base_name().as_str(), "/");
}

#[test]
fn order_is_the_walk_of_the_tree() {
    let walk = [
        "/", "/0", "/0/0", "/0/0/0", "/0/0/0/0", "/0/0/1", "/0/1", "/1", "/1/0/5",
    ];
    let paths: std::vec::Vec<Path> = walk.iter().map(|text| text.parse().unwrap()).collect();
    assert!(paths.is_sorted());
}

#[test]
fn up_and_down() {
    let path = Path::resource_instance(3, 0, 7, 1);
    assert_eq!(path.parent(), Some(Path::resource(3, 0, 7)));
    assert_eq!(path.parent().and_then(|parent| parent.child(1)), Some(path));
    assert_eq!(path.child(0), None);
    assert_eq!(Path::ROOT.parent(), None);
    assert_eq!(Path::ROOT.child(MAX_ID), None);
    assert_eq!(path.truncated(2), Path::instance(3, 0));
    assert!(path.starts_with(&Path::ROOT));
    assert!(path.starts_with(&Path::instance(3, 0)));
    assert!(!path.starts_with(&Path::instance(3, 1)));
    assert!(!Path::object(3).starts_with(&Path::instance(3, 0)));
}
