//! Weights that an ONNX file keeps in files beside it, as PyTorch exports them, put into it.

use std::collections::HashMap;

use tinsmith_build_job::Problem;

use super::check::MAX_FILE_BYTES;
use super::check::wire::Fields;

/// Field of the graph in a model, of the tensors in a graph.
const GRAPH: u64 = 7;
const INITIALIZER: u64 = 5;
/// Fields of a tensor.
const RAW_DATA: u64 = 9;
const EXTERNAL_DATA: u64 = 13;
const DATA_LOCATION: u64 = 14;

/// Gives the content of a file beside the model by its name.
type Read<'a> = dyn FnMut(&str) -> Result<Vec<u8>, String> + 'a;

/// The file with the weights inside, none if they are or if it is no ONNX file. `read` is asked for names that lie below the
/// model's folder, as far as names tell; links are its own to look at, and the size.
///
/// # Errors
/// What it refers to is not there, lies elsewhere or is too large.
pub fn embed(onnx: &[u8], read: &mut Read<'_>) -> Result<Option<Vec<u8>>, String> {
    let mut beside = Beside {
        read,
        files: HashMap::new(),
        bytes: onnx.len(),
    };
    let whole = rewritten(onnx, GRAPH, &mut |graph| {
        rewritten(graph, INITIALIZER, &mut |tensor| beside.tensor(tensor))
    });
    match whole {
        Ok(whole) => Ok(whole),
        // Whoever reads it says what is wrong.
        Err(Stop::Malformed) => Ok(None),
        Err(Stop::File(text)) => Err(text),
    }
}

enum Stop {
    Malformed,
    File(String),
}

impl From<Problem> for Stop {
    fn from(_: Problem) -> Self {
        Self::Malformed
    }
}

/// A changed payload, none if it stays.
type Changed = Result<Option<Vec<u8>>, Stop>;

/// A message with the payloads of one field changed, none if none is.
fn rewritten(bytes: &[u8], number: u64, change: &mut dyn FnMut(&[u8]) -> Changed) -> Changed {
    let mut fields = Fields { bytes };
    let (mut out, mut changed) = (Vec::new(), false);
    loop {
        let before = fields.bytes;
        let Some((found, payload)) = fields.next()? else {
            return Ok(changed.then_some(out));
        };
        let new = match payload {
            Some(payload) if found == number => change(payload)?,
            _ => None,
        };
        match new {
            Some(new) => {
                changed = true;
                push(&mut out, number, &new);
            }
            None => out.extend_from_slice(&before[..before.len() - fields.bytes.len()]),
        }
    }
}

fn push(out: &mut Vec<u8>, number: u64, payload: &[u8]) {
    varint(out, number << 3 | 2);
    varint(out, payload.len() as u64);
    out.extend_from_slice(payload);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value > 0x7f {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

struct Beside<'a, 'r> {
    read: &'a mut Read<'r>,
    files: HashMap<String, Vec<u8>>,
    /// That were read, and that the new file has at least.
    bytes: usize,
}

impl Beside<'_, '_> {
    fn tensor(&mut self, bytes: &[u8]) -> Changed {
        let mut fields = Fields { bytes };
        let (mut out, mut place) = (Vec::new(), Place::default());
        let mut external = false;
        loop {
            let before = fields.bytes;
            let Some((number, payload)) = fields.next()? else {
                break;
            };
            match (number, payload) {
                (EXTERNAL_DATA, Some(entry)) => {
                    external = true;
                    place.note(entry)?;
                }
                (DATA_LOCATION | RAW_DATA, _) => {}
                _ => out.extend_from_slice(&before[..before.len() - fields.bytes.len()]),
            }
        }
        if !external {
            return Ok(None);
        }
        let data = self.data(&place)?;
        push(&mut out, RAW_DATA, &data);
        Ok(Some(out))
    }

    fn data(&mut self, place: &Place) -> Result<Vec<u8>, Stop> {
        let stop = |what: &str| {
            Err(Stop::File(format!(
                "its weights in '{}' {what}",
                place.file
            )))
        };
        if !is_below(&place.file) {
            return stop("lie outside the model's folder; export it again");
        }
        if !self.files.contains_key(&place.file) {
            let file = (self.read)(&place.file).map_err(Stop::File)?;
            self.count(file.len())?;
            self.files.insert(place.file.clone(), file);
        }
        let file = self.files.get(&place.file).map_or(&[][..], Vec::as_slice);
        let rest = usize::try_from(place.offset)
            .ok()
            .and_then(|at| file.get(at..));
        let data = rest.and_then(|rest| match place.length {
            None => Some(rest),
            Some(length) => rest.get(..usize::try_from(length).ok()?),
        });
        let Some(data) = data.map(<[u8]>::to_vec) else {
            return stop("end too early; copy both files of the model again");
        };
        self.count(data.len())?;
        Ok(data)
    }

    fn count(&mut self, bytes: usize) -> Result<(), Stop> {
        self.bytes = self.bytes.saturating_add(bytes);
        // Each is read, and then written.
        if self.bytes > 2 * MAX_FILE_BYTES {
            let text = format!("it has more than {MAX_FILE_BYTES} bytes with its weights");
            return Err(Stop::File(text));
        }
        Ok(())
    }
}

/// Where the data of a tensor are.
#[derive(Default)]
struct Place {
    file: String,
    offset: u64,
    length: Option<u64>,
}

impl Place {
    /// An entry of key and value.
    fn note(&mut self, entry: &[u8]) -> Result<(), Stop> {
        let mut fields = Fields { bytes: entry };
        let (mut key, mut value) = ("", "");
        while let Some(field) = fields.next()? {
            match field {
                (1, text) => key = utf8(text)?,
                (2, text) => value = utf8(text)?,
                _ => {}
            }
        }
        let number = || {
            let wrong = || Stop::File(format!("{key} of its weights is '{}'", short(value)));
            value.parse::<u64>().map_err(|_| wrong())
        };
        match key {
            "location" => self.file = short(value),
            "offset" => self.offset = number()?,
            "length" => self.length = Some(number()?),
            _ => {}
        }
        Ok(())
    }
}

fn short(text: &str) -> String {
    text.chars().take(255).collect()
}

fn utf8(payload: Option<&[u8]>) -> Result<&str, Stop> {
    std::str::from_utf8(payload.unwrap_or_default()).map_err(|_| Stop::Malformed)
}

/// Whether a name stays below the folder that it starts from.
fn is_below(name: &str) -> bool {
    let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
    name.split('/').all(plain) && !name.contains(['\\', ':', '\0'])
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use tract_onnx::pb;

    use super::*;
    use crate::testing::Onnx;

    fn entry(key: &str, value: &str) -> pb::StringStringEntryProto {
        pb::StringStringEntryProto {
            key: key.into(),
            value: value.into(),
        }
    }

    /// A model with its weights inside, and the same with them in a file of `w.data`.
    fn both(location: &str, offset: &str, length: &str) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
        let file = Onnx::new(&[1, 4])
            .constant("w", &[4, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0])
            .node("MatMul", &["x", "w"], "y", &[])
            .file(&["y"]);
        let mut inside = pb::ModelProto::decode(file.as_slice()).unwrap();
        let mut outside = inside.clone();
        let tensor = &mut inside.graph.as_mut().unwrap().initializer[0];
        let floats = std::mem::take(&mut tensor.float_data);
        tensor.raw_data = floats.iter().flat_map(|v| v.to_le_bytes()).collect();
        let mut data = vec![0xff; 16];
        data.extend_from_slice(&tensor.raw_data);
        let tensor = &mut outside.graph.as_mut().unwrap().initializer[0];
        tensor.float_data.clear();
        tensor.data_location = Some(1);
        tensor.external_data = vec![
            entry("location", location),
            entry("offset", offset),
            entry("length", length),
        ];
        (inside.encode_to_vec(), outside.encode_to_vec(), data)
    }

    #[test]
    fn weights_beside_the_file_are_put_into_it() {
        let (inside, outside, data) = both("sub/w.data", "16", "32");
        let mut asked = Vec::new();
        let whole = embed(&outside, &mut |name| {
            asked.push(name.to_owned());
            Ok(data.clone())
        });
        let whole = whole.unwrap().unwrap();
        assert_eq!(asked, ["sub/w.data"]);
        let decoded = pb::ModelProto::decode(whole.as_slice()).unwrap();
        assert_eq!(decoded, pb::ModelProto::decode(inside.as_slice()).unwrap());
        let none = &mut |_: &str| panic!("nothing is to be read");
        assert_eq!(embed(&inside, none), Ok(None));
        // Cut or damaged, it is an error or another file, and no panic.
        for end in 0..outside.len() {
            let _ = embed(&outside[..end], &mut |_| Ok(data.clone()));
            let mut bad = outside.clone();
            bad[end] ^= 0x55;
            let _ = embed(&bad, &mut |_| Ok(data.clone()));
        }
    }

    #[test]
    fn nothing_outside_the_folder_is_asked_for() {
        for name in [
            "/etc/passwd",
            "../w.data",
            "a/../../w",
            "",
            ".",
            "a//b",
            "c:\\w",
            "..\\w",
            "a\0b",
        ] {
            let (_, outside, _) = both(name, "0", "32");
            let error = embed(&outside, &mut |_| panic!("{name}")).unwrap_err();
            assert!(error.contains("outside the model's folder"), "{error}");
        }
    }

    #[test]
    fn what_is_not_there_is_told() {
        for (offset, length) in [("17", "32"), ("0", "99"), ("18446744073709551615", "1")] {
            let (_, outside, data) = both("w.data", offset, length);
            let error = embed(&outside, &mut |_| Ok(data.clone())).unwrap_err();
            assert!(error.contains("end too early"), "{error}");
        }
        let (_, outside, _) = both("w.data", "x", "32");
        assert!(embed(&outside, &mut |_| Ok(Vec::new())).is_err());
        let (_, outside, _) = both("w.data", "16", "32");
        let error = embed(&outside, &mut |_| Err("no such file".into()));
        assert_eq!(error, Err("no such file".into()));
        let large = 2 * MAX_FILE_BYTES;
        let error = embed(&outside, &mut |_| Ok(vec![0; large])).unwrap_err();
        assert!(error.contains("more than"), "{error}");
    }
}
