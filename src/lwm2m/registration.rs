//! What a Register or Update says: parameters and object links (LwM2M TS 1.1 §6.2).
//!
//! Strict where the specification names an error, tolerant where real devices differ: no
//! Content-Format, no `b`, links without quotes, objects without instances.

use lwm2m_objects::{ContentFormat, Path};
use tinsmith_coap::Code;

/// What the sender got wrong; each has one response code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// No `ep`, and no identity that would give a name (LwM2M TS 1.1 §6.2.1).
    #[error("the endpoint name is missing")]
    NoEndpoint,
    /// A parameter has a value it can't have.
    #[error("parameter {0} is invalid")]
    Parameter(&'static str),
    /// A parameter has a control character: names are shown to people, on terminals too.
    #[error("a parameter has a control character")]
    Control,
    /// A version of LwM2M that this server does not speak.
    #[error("LwM2M version {0} is not supported")]
    Version(String),
    /// No object in the payload.
    #[error("the object list is empty or not link format")]
    Links,
    /// More of something than the limits allow.
    #[error("too many {0}")]
    TooMany(&'static str),
    /// The name belongs to a device with another identity.
    #[error("the endpoint name belongs to another identity")]
    Identity,
    /// The payload is not link format, and says so.
    #[error("content format {0} is not link format")]
    Format(u16),
}

impl RegisterError {
    /// LwM2M TS 1.1 §6.4.3, table 6.4.3-1 of both parts.
    pub fn code(&self) -> Code {
        match self {
            RegisterError::NoEndpoint | RegisterError::Identity => Code::FORBIDDEN,
            RegisterError::Parameter(_) | RegisterError::Control | RegisterError::Links => {
                Code::BAD_REQUEST
            }
            RegisterError::Version(_) => Code::PRECONDITION_FAILED,
            RegisterError::TooMany(_) => Code::REQUEST_ENTITY_TOO_LARGE,
            RegisterError::Format(_) => Code::UNSUPPORTED_CONTENT_FORMAT,
        }
    }
}

/// Query parameters of a Register, Update or Bootstrap-Request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parameters<'q> {
    pub(crate) endpoint: Option<&'q str>,
    pub(crate) lifetime: Option<u32>,
    pub(crate) version: Option<&'q str>,
    pub(crate) binding: Option<&'q str>,
    pub(crate) formats: Option<u16>,
    pub(crate) other: Vec<(&'q str, &'q str)>,
}

/// Most unknown parameters that are kept.
pub(crate) const MAX_OTHER: usize = 32;

impl<'q> Parameters<'q> {
    pub(crate) fn parse(queries: impl Iterator<Item = &'q [u8]>) -> Result<Self, RegisterError> {
        let mut p = Parameters::default();
        for query in queries {
            let text = std::str::from_utf8(query).map_err(|_| RegisterError::Parameter("query"))?;
            if text.chars().any(char::is_control) {
                return Err(RegisterError::Control);
            }
            let (name, value) = text.split_once('=').unwrap_or((text, ""));
            match name {
                "ep" => set(&mut p.endpoint, "ep", Some(value))?,
                "lt" => set(&mut p.lifetime, "lt", value.parse().ok())?,
                "lwm2m" => set(&mut p.version, "lwm2m", Some(value))?,
                "b" => set(&mut p.binding, "b", Some(value))?,
                "pct" => set(&mut p.formats, "pct", value.parse().ok())?,
                _ if p.other.len() >= MAX_OTHER => {
                    return Err(RegisterError::TooMany("parameters"));
                }
                _ => p.other.push((name, value)),
            }
        }
        if p.endpoint == Some("") {
            p.endpoint = None;
        }
        Ok(p)
    }
}

fn set<T>(
    place: &mut Option<T>,
    name: &'static str,
    value: Option<T>,
) -> Result<(), RegisterError> {
    match value {
        Some(value) if place.is_none() => *place = Some(value),
        _ => return Err(RegisterError::Parameter(name)),
    }
    Ok(())
}

/// The versions, and the content format that a device of each answers in unless it is asked for
/// another.
const VERSIONS: [(&str, ContentFormat); 3] = [
    ("1.0", ContentFormat::TLV),
    ("1.1", ContentFormat::SENML_CBOR),
    ("1.2", ContentFormat::LWM2M_CBOR),
];

/// 1.0, 1.1 or 1.2, if we can read its default format. Patch releases have no number on the wire; some devices say it all the same, and
/// mean the release that it is of.
pub(crate) fn release(version: &str) -> Result<&str, RegisterError> {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let release = version.get(..3).filter(|_| match version.get(3..) {
        Some("") => true,
        Some(rest) => rest.strip_prefix('.').is_some_and(is_number),
        None => false,
    });
    let is_spoken = |release: &&str| {
        let mut known = VERSIONS.iter();
        known.any(|(version, format)| version == release && format.is_supported())
    };
    match release.filter(is_spoken) {
        Some(release) => Ok(release),
        None => Err(RegisterError::Version(version.chars().take(16).collect())),
    }
}

/// Milliseconds that a registration lives: 0 means for ever (object 1, resource 1), a hundred
/// years.
pub(crate) fn life(lifetime: u32) -> u64 {
    match lifetime {
        0 => 3_155_760_000_000,
        seconds => u64::from(seconds) * 1000,
    }
}

/// LwM2M TS 1.0 §5.3.1.1 (a list of combinations, `Q` among the letters) and 1.1, 1.2 §6.2.1.2
/// (a set of letters; queue mode is the parameter `Q`, which some write among them as in 1.0).
pub(crate) fn check_binding(version: &str, binding: &str) -> Result<(), RegisterError> {
    let fine = if version == "1.0" {
        matches!(binding, "U" | "UQ" | "S" | "SQ" | "US" | "UQS" | "USQ")
    } else {
        let letters = if version == "1.1" { "UTSN" } else { "UMHTSN" };
        let mut transports = binding.chars().filter(|c| *c != 'Q').peekable();
        transports.peek().is_some()
            && transports.all(|c| letters.contains(c))
            && binding.chars().all(|c| binding.matches(c).count() == 1)
    };
    if fine {
        Ok(())
    } else {
        Err(RegisterError::Parameter("b"))
    }
}

/// The object list of a Register.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Links {
    /// Prefix of all paths, e.g. `["lwm2m"]`; mostly empty (LwM2M TS 1.1
    /// §6.2.1.2, alternate path).
    pub(crate) root: Vec<String>,
    pub(crate) objects: Vec<(Path, Option<String>)>,
    pub(crate) formats: Vec<u16>,
}

impl Links {
    /// Links that name no object of LwM2M are left out.
    pub(crate) fn parse(payload: &[u8], max: usize) -> Result<Self, RegisterError> {
        let text = std::str::from_utf8(payload).map_err(|_| RegisterError::Links)?;
        let mut found: Vec<Link<'_>> = Vec::new();
        for link in Link::all(text) {
            if found.len() >= max {
                return Err(RegisterError::TooMany("object links"));
            }
            found.push(link);
        }
        let mut links = Links::default();
        if let Some(root) = found
            .iter()
            .find(|l| l.attribute("rt") == Some("oma.lwm2m"))
        {
            links.root = root.segments().map(str::to_owned).collect();
            links.formats = formats(root.attribute("ct").unwrap_or(""));
        }
        for link in &found {
            let mut segments = link.segments();
            if !links.root.iter().all(|r| segments.next() == Some(r)) {
                continue;
            }
            let Ok(path) = Path::from_segments(segments.map(str::as_bytes)) else {
                continue;
            };
            let is_new = links.objects.iter().all(|(p, _)| *p != path);
            if (1..=2).contains(&path.depth()) && is_new {
                links
                    .objects
                    .push((path, link.attribute("ver").map(str::to_owned)));
            }
        }
        if links.objects.is_empty() {
            return Err(RegisterError::Links);
        }
        Ok(links)
    }
}

fn formats(list: &str) -> Vec<u16> {
    list.split([' ', ','])
        .filter_map(|n| n.parse().ok())
        .take(16)
        .collect()
}

/// A link and its attributes (RFC 6690 §2).
pub(crate) struct Link<'a> {
    target: &'a str,
    attributes: Vec<(&'a str, &'a str)>,
}

impl<'a> Link<'a> {
    /// Those of a list; what is none is left out.
    pub(crate) fn all(text: &'a str) -> impl Iterator<Item = Link<'a>> {
        split(text, ',').filter_map(Link::parse)
    }

    fn parse(text: &'a str) -> Option<Self> {
        let text = text.trim();
        let (target, rest) = text.strip_prefix('<')?.split_once('>')?;
        let attributes = split(rest, ';')
            .filter(|a| !a.is_empty())
            .take(16)
            .map(|a| {
                let (name, value) = a.split_once('=').unwrap_or((a, ""));
                (name.trim(), value.trim().trim_matches('"'))
            })
            .collect();
        Some(Link { target, attributes })
    }

    pub(crate) fn attribute(&self, name: &str) -> Option<&'a str> {
        self.attributes
            .iter()
            .find(|(n, _)| *n == name)
            .map(|(_, v)| *v)
    }

    pub(crate) fn segments(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.target.split('/').filter(|s| !s.is_empty())
    }
}

/// Splits where `at` stands outside of quotes and angle brackets.
fn split(text: &str, at: char) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    let mut target = false;
    text.split(move |c| {
        match c {
            '"' => quoted = !quoted,
            '<' if !quoted => target = true,
            '>' if !quoted => target = false,
            _ => {}
        }
        c == at && !quoted && !target
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(text: &str) -> Links {
        Links::parse(text.as_bytes(), 100).unwrap()
    }

    fn paths(links: &Links) -> Vec<String> {
        links.objects.iter().map(|(p, _)| p.to_string()).collect()
    }

    #[test]
    fn links_as_devices_write_them() {
        let l = links(r#"</>;rt="oma.lwm2m";ct="60 110 112",</1/0>,</3>;ver="1.1",</5/0>"#);
        assert_eq!(paths(&l), ["/1/0", "/3", "/5/0"]);
        assert_eq!(l.objects[1].1.as_deref(), Some("1.1"));
        assert_eq!(l.formats, [60, 110, 112]);

        let l = links("</>;rt=oma.lwm2m;ct=11543, </3/0>;ver=1.2, </foo/bar>,junk,</3/0>");
        assert_eq!(paths(&l), ["/3/0"]);
        assert_eq!(l.objects[0].1.as_deref(), Some("1.2"));
        assert_eq!(l.formats, [11543]);

        let l = links(r#"</lwm2m>;rt="oma.lwm2m",</lwm2m/3/0>,</other/4/0>"#);
        assert_eq!(l.root, ["lwm2m"]);
        assert_eq!(paths(&l), ["/3/0"]);
    }

    #[test]
    fn links_that_are_none() {
        assert_eq!(Links::parse(b"", 9), Err(RegisterError::Links));
        assert_eq!(Links::parse(b"\xff", 9), Err(RegisterError::Links));
        assert_eq!(Links::parse(b"</99999999>", 9), Err(RegisterError::Links));
        let many = "</3/0>,".repeat(10);
        assert_eq!(
            Links::parse(many.as_bytes(), 9),
            Err(RegisterError::TooMany("object links"))
        );
    }

    #[test]
    fn parameters() {
        fn p<'q>(list: &[&'q str]) -> Result<Parameters<'q>, RegisterError> {
            Parameters::parse(list.iter().map(|q| q.as_bytes()))
        }
        let all = p(&["ep=a=b", "lt=60", "lwm2m=1.1", "b=U", "Q", "x=1"]).unwrap();
        assert_eq!(all.endpoint, Some("a=b"));
        assert_eq!(all.lifetime, Some(60));
        assert_eq!(all.other, [("Q", ""), ("x", "1")]);
        assert_eq!(p(&["lt=0"]).unwrap().lifetime, Some(0));
        assert_eq!(p(&["lt=x"]), Err(RegisterError::Parameter("lt")));
        assert_eq!(p(&["ep=a", "ep=b"]), Err(RegisterError::Parameter("ep")));
        assert_eq!(p(&["ep="]).unwrap().endpoint, None);
    }

    #[test]
    fn bindings_of_each_version() {
        for (version, binding, fine) in [
            ("1.0", "UQ", true),
            ("1.0", "UT", false),
            ("1.1", "UT", true),
            ("1.1", "UQ", true),
            ("1.1", "Q", false),
            ("1.1", "UQQ", false),
            ("1.1", "UU", false),
            ("1.1", "", false),
            ("1.1", "M", false),
            ("1.2", "MH", true),
        ] {
            assert_eq!(
                check_binding(version, binding).is_ok(),
                fine,
                "{version} {binding}"
            );
        }
        for (version, fine) in [
            ("1.1", Some("1.1")),
            ("1.0.2", Some("1.0")),
            ("1.2.11", Some("1.2")),
            ("1.0.", None),
            ("1.0.x", None),
            ("1.02", None),
            ("2.0", None),
            ("1", None),
            ("", None),
        ] {
            assert_eq!(release(version).ok(), fine, "{version}");
        }
        assert_eq!(
            release("2.0").unwrap_err().code(),
            Code::PRECONDITION_FAILED
        );
    }
}
