//! A line of a file with keys.

use lwm2m_objects::hex;
use serde::Deserialize;
use zeroize::Zeroizing;

/// What a line says of a key.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) endpoint: String,
    pub(super) identity: Option<String>,
    /// In hexadecimal digits.
    pub(super) key: Zeroizing<String>,
    pub(super) purpose: &'static str,
}

/// What a field is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Endpoint,
    Identity,
    Key,
    Use,
}

/// How lines are read.
pub(super) enum Form {
    /// JSON objects.
    Json,
    /// CSV with these fields.
    Csv(Vec<FieldName>),
}

/// A field of CSV.
pub(super) struct FieldName(Field);

const ORDER: [Field; 4] = [Field::Endpoint, Field::Identity, Field::Key, Field::Use];

fn field(name: &str) -> Option<Field> {
    Some(match name.to_ascii_lowercase().as_str() {
        "endpoint" | "endpoints" => Field::Endpoint,
        "identity" => Field::Identity,
        "key" => Field::Key,
        "use" | "purpose" | "for" => Field::Use,
        _ => return None,
    })
}

impl Form {
    /// Of a file whose first line this is, and whether it has only names in it.
    pub(super) fn of(first: &str) -> Result<(Self, bool), String> {
        if first.trim_start().starts_with('{') {
            return Ok((Self::Json, false));
        }
        let names = fields(first)?;
        let named: Option<Vec<_>> = names
            .iter()
            .map(|name| field(name).map(FieldName))
            .collect();
        Ok(match named {
            Some(named) => (Self::Csv(named), true),
            None => (Self::Csv(ORDER.map(FieldName).into()), false),
        })
    }

    /// Reads a line.
    pub(super) fn read(&self, line: &str) -> Result<Line, String> {
        match self {
            Self::Json => json(line),
            Self::Csv(names) => csv(names, line),
        }
    }
}

fn json(line: &str) -> Result<Line, String> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Members {
        #[serde(alias = "endpoints")]
        endpoint: String,
        identity: Option<String>,
        key: Zeroizing<String>,
        #[serde(rename = "use", alias = "purpose", alias = "for")]
        purpose: Option<String>,
    }
    let members: Members = serde_json::from_str(line).map_err(|error| {
        // Of the text itself nothing is told: there is a key in it.
        format!(
            "no JSON object with endpoint and key, column {}",
            error.column()
        )
    })?;
    let Members {
        endpoint,
        identity,
        key,
        purpose,
    } = members;
    line_of(endpoint, identity, &key, purpose.as_deref())
}

fn csv(names: &[FieldName], line: &str) -> Result<Line, String> {
    let values = fields(line)?;
    if values.len() > names.len() {
        let (found, most) = (values.len(), names.len());
        return Err(format!("{found} fields, and there are {most} at most"));
    }
    let find = |wanted| {
        let at = names.iter().position(|FieldName(name)| *name == wanted)?;
        values.get(at).filter(|value| !value.is_empty())
    };
    let endpoint = find(Field::Endpoint).ok_or("no endpoint")?;
    let key = find(Field::Key).ok_or("no key")?;
    let identity = find(Field::Identity).map(|identity| identity.to_string());
    let purpose = find(Field::Use).map(|purpose| purpose.as_str());
    line_of(endpoint.to_string(), identity, key, purpose)
}

fn line_of(
    endpoint: String,
    identity: Option<String>,
    key: &str,
    purpose: Option<&str>,
) -> Result<Line, String> {
    let key = key_of(key.trim()).ok_or("the key is neither hexadecimal digits nor base64")?;
    let purpose = match purpose.map(str::trim) {
        None | Some("" | "bootstrap") => "bootstrap",
        Some("management") => "management",
        Some(_) => return Err("the use is neither bootstrap nor management".to_owned()),
    };
    Ok(Line {
        endpoint,
        identity,
        key: Zeroizing::new(hex::encode(&key)),
        purpose,
    })
}

/// What has only hexadecimal digits is that.
fn key_of(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    match text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        true => hex::decode(text).map(Zeroizing::new),
        false => base64(text),
    }
}

/// RFC 4648 §4 and §5, with or without padding.
fn base64(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let digits = text.trim_end_matches('=');
    if text.len() - digits.len() > 2 || digits.len() % 4 == 1 {
        return None;
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(digits.len()));
    let (mut bits, mut have) = (0u32, 0);
    for digit in digits.bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        have += 6;
        if have >= 8 {
            have -= 8;
            bytes.push((bits >> have) as u8);
            bits &= (1 << have) - 1;
        }
    }
    (bits == 0).then_some(bytes)
}

/// The fields of a line, as RFC 4180 §2 has them.
fn fields(line: &str) -> Result<Vec<Zeroizing<String>>, String> {
    let mut all = Vec::new();
    let mut rest = line.trim_end_matches(['\r', '\n']);
    loop {
        let after = match rest.trim_start().strip_prefix('"') {
            None => {
                let (value, after) = match rest.split_once(',') {
                    Some((value, after)) => (value, Some(after)),
                    None => (rest, None),
                };
                all.push(Zeroizing::new(value.trim().to_owned()));
                after
            }
            Some(quoted) => {
                let (value, after) = unquoted(quoted).ok_or("a quotation mark is missing")?;
                all.push(value);
                match after.trim_start() {
                    "" => None,
                    after => {
                        let wrong = "something stands behind a quotation mark";
                        Some(after.strip_prefix(',').ok_or(wrong)?)
                    }
                }
            }
        };
        match after {
            Some(after) => rest = after,
            None => return Ok(all),
        }
    }
}

/// What is up to the closing quotation mark, and what is behind it.
fn unquoted(text: &str) -> Option<(Zeroizing<String>, &str)> {
    let mut value = Zeroizing::new(String::with_capacity(text.len()));
    let mut rest = text;
    loop {
        let (part, after) = rest.split_once('"')?;
        value.push_str(part);
        match after.strip_prefix('"') {
            Some(after) => {
                value.push('"');
                rest = after;
            }
            None => return Some((value, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "000102030405060708090a0b0c0d0e0f";

    fn read(first: &str, line: &str) -> Result<(String, Option<String>, String, String), String> {
        let (form, _) = Form::of(first)?;
        let line = form.read(line)?;
        let key = line.key.to_string();
        Ok((line.endpoint, line.identity, key, line.purpose.to_owned()))
    }

    fn line(identity: Option<&str>, purpose: &str) -> (String, Option<String>, String, String) {
        let identity = identity.map(str::to_owned);
        ("pump-1".into(), identity, KEY.into(), purpose.into())
    }

    #[test]
    fn lines_in_each_form() {
        let csv = format!("pump-1,me,{KEY},management\r\n");
        assert_eq!(read(&csv, &csv), Ok(line(Some("me"), "management")));
        let short = format!("pump-1 , , {KEY}");
        assert_eq!(read(&short, &short), Ok(line(None, "bootstrap")));
        let quoted = "\"pump-1\",\"a \"\"b\"\", c\",AAECAwQFBgcICQoLDA0ODw==,bootstrap";
        let expected = line(Some("a \"b\", c"), "bootstrap");
        assert_eq!(read(quoted, quoted), Ok(expected));
        let named = format!("{KEY},pump-1,management");
        assert_eq!(
            read("Key,endpoint,use", &named),
            Ok(line(None, "management"))
        );
        let json = format!(r#"{{"endpoint": "pump-1", "key": "{KEY}", "use": "management"}}"#);
        assert_eq!(read(&json, &json), Ok(line(None, "management")));
        assert!(Form::of("endpoint,identity,key,use").unwrap().1);
        assert!(!Form::of(&csv).unwrap().1 && !Form::of(&json).unwrap().1);
    }

    #[test]
    fn lines_that_are_none_tell_no_key() {
        for (first, wrong) in [
            ("a", "pump-1,me".to_owned()),
            ("a", format!(",me,{KEY}")),
            ("a", format!("pump-1,me,{KEY},both")),
            ("a", format!("pump-1,me,{KEY},management,more")),
            ("a", format!("\"pump-1,me,{KEY}")),
            ("a", format!("\"pump-1\"x,me,{KEY}")),
            ("a", format!("pump-1,me,{KEY}0")),
            ("a", "pump-1,me,not!".to_owned()),
            ("{", format!(r#"{{"endpoint": "pump-1", "key": "{KEY}""#)),
            ("{", format!(r#"{{"endpoint": "pump-1", "key": {KEY}}}"#)),
            (
                "{",
                format!(r#"{{"endpoint": "pump-1", "key": "{KEY}", "kez": 1}}"#),
            ),
        ] {
            let error = read(first, &wrong).expect_err(&wrong);
            assert!(!error.contains("0001"), "{error}");
        }
    }

    #[test]
    fn base64_of_rfc_4648() {
        for (text, bytes) in [
            ("Zg==", &b"f"[..]),
            ("Zg", b"f"),
            ("Zm8=", b"fo"),
            ("Zm9v", b"foo"),
            ("Zm9vYmFy", b"foobar"),
            ("-_-_", &[0xfb, 0xff, 0xbf]),
        ] {
            assert_eq!(
                base64(text).as_deref().map(|b| &b[..]),
                Some(bytes),
                "{text}"
            );
        }
        for wrong in ["Z", "Zh", "Zg===", "Z=g=", "Zm9 v", "é"] {
            assert_eq!(base64(wrong), None, "{wrong}");
        }
    }
}
