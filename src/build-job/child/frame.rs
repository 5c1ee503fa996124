//! The bytes between parent and child.

use std::io::Read;

use lwm2m_objects::capability::Capability;
use serde::{Deserialize, Serialize};

use crate::{
    Array, CompileError, Compiled, Facts, Options, Report, Request, Samples, Sealed, Task, TestSet,
};

const REQUEST: &[u8; 8] = b"TSMreq04";
const SEALED: &[u8; 8] = b"TSMsea02";
const ANSWER: &[u8; 8] = b"TSMans02";
/// Most bytes of the JSON head of a request.
const MAX_HEAD: usize = 1 << 20;
/// Most bytes of a raw part of a request.
const MAX_PART: u64 = 1 << 29;

#[derive(Serialize, Deserialize)]
struct Head {
    /// Time on the processor.
    seconds: u64,
    name: String,
    version: String,
    task: Task,
    labels: Vec<String>,
    capability: Capability,
    golden_seeds: u8,
    golden_sample: bool,
    allow_low_sqnr: bool,
    onnx_bytes: u64,
    calibration: SamplesHead,
    test: Option<TestHead>,
}

#[derive(Serialize, Deserialize)]
struct SealedHead {
    seconds: u64,
    name: String,
    version: String,
    task: Task,
    labels: Vec<String>,
    capability: Option<Capability>,
    allow_low_sqnr: bool,
    onnx_bytes: u64,
    calibration_bytes: u64,
    test_bytes: Option<u64>,
}

/// What a child is asked.
#[derive(Debug, PartialEq)]
pub(super) enum Asked {
    Request(Request),
    Sealed(Sealed),
}

/// What a child answers.
#[derive(Debug, PartialEq)]
pub(super) struct Answer {
    /// No module if none was asked for.
    pub(super) result: Result<Option<Compiled>, CompileError>,
    /// Of the files that were opened.
    pub(super) facts: Option<Facts>,
}

#[derive(Serialize, Deserialize)]
struct AnswerHead {
    result: Result<Option<Report>, CompileError>,
    facts: Option<Facts>,
}

#[derive(Serialize, Deserialize)]
struct SamplesHead {
    arrays: Vec<(String, Vec<usize>)>,
    values: u64,
}

#[derive(Serialize, Deserialize)]
struct TestHead {
    x: SamplesHead,
    labels: u64,
}

impl SamplesHead {
    fn new(samples: &Samples) -> Self {
        let array = |array: &Array| (array.name.clone(), array.shape.clone());
        Self {
            arrays: samples.arrays.iter().map(array).collect(),
            values: samples.data.len() as u64,
        }
    }

    fn read(self, input: &mut dyn Read) -> Result<Samples, String> {
        let array = |(name, shape)| Array { name, shape };
        Ok(Samples {
            arrays: self.arrays.into_iter().map(array).collect(),
            data: floats(input, self.values)?,
        })
    }
}

fn frame(magic: &[u8; 8], head: &[u8]) -> Result<Vec<u8>, String> {
    let length = u32::try_from(head.len()).map_err(|_| "the head is too long")?;
    let mut bytes = magic.to_vec();
    bytes.extend(length.to_le_bytes());
    bytes.extend(head);
    Ok(bytes)
}

/// A build whose files are still to be opened, as bytes.
pub(super) fn sealed(sealed: &Sealed, seconds: u64) -> Result<Vec<u8>, String> {
    let head = SealedHead {
        seconds,
        name: sealed.name.clone(),
        version: sealed.version.clone(),
        task: sealed.task,
        labels: sealed.labels.clone(),
        capability: sealed.capability.clone(),
        allow_low_sqnr: sealed.allow_low_sqnr,
        onnx_bytes: sealed.onnx.len() as u64,
        calibration_bytes: sealed.calibration.len() as u64,
        test_bytes: sealed.test.as_ref().map(|test| test.len() as u64),
    };
    let json = serde_json::to_vec(&head).map_err(|e| e.to_string())?;
    let mut bytes = frame(SEALED, &json)?;
    bytes.extend_from_slice(&sealed.onnx);
    bytes.extend_from_slice(&sealed.calibration);
    bytes.extend_from_slice(sealed.test.as_deref().unwrap_or_default());
    Ok(bytes)
}

/// A request as bytes.
pub(super) fn request(request: &Request, seconds: u64) -> Result<Vec<u8>, String> {
    let head = Head {
        seconds,
        name: request.name.clone(),
        version: request.version.clone(),
        task: request.task,
        labels: request.labels.clone(),
        capability: request.capability.clone(),
        golden_seeds: request.options.golden_seeds,
        golden_sample: request.options.golden_sample,
        allow_low_sqnr: request.options.allow_low_sqnr,
        onnx_bytes: request.onnx.len() as u64,
        calibration: SamplesHead::new(&request.options.calibration),
        test: request.test.as_ref().map(|test| TestHead {
            x: SamplesHead::new(&test.x),
            labels: test.y.len() as u64,
        }),
    };
    let json = serde_json::to_vec(&head).map_err(|e| e.to_string())?;
    let mut bytes = frame(REQUEST, &json)?;
    bytes.extend(&request.onnx);
    bytes.extend(
        request
            .options
            .calibration
            .data
            .iter()
            .flat_map(|v| v.to_le_bytes()),
    );
    if let Some(test) = &request.test {
        bytes.extend(test.x.data.iter().flat_map(|v| v.to_le_bytes()));
        bytes.extend(test.y.iter().flat_map(|v| v.to_le_bytes()));
    }
    Ok(bytes)
}

fn part(input: &mut dyn Read, elements: u64, size: u64) -> Result<Vec<u8>, String> {
    let wanted = elements
        .checked_mul(size)
        .filter(|&n| n <= MAX_PART)
        .ok_or("a part is too long")?;
    let mut bytes = Vec::new();
    input
        .take(wanted)
        .read_to_end(&mut bytes)
        .map_err(|e| e.to_string())?;
    if bytes.len() as u64 == wanted {
        Ok(bytes)
    } else {
        Err("the request is cut off".into())
    }
}

fn floats(input: &mut dyn Read, elements: u64) -> Result<Vec<f32>, String> {
    let bytes = part(input, elements, 4)?;
    Ok(bytes
        .as_chunks::<4>()
        .0
        .iter()
        .map(|b| f32::from_le_bytes(*b))
        .collect())
}

/// Reads what is asked, with the seconds on the processor that it may take.
pub(super) fn read_request(input: &mut dyn Read) -> Result<(u64, Asked), String> {
    let mut fixed = [0; 12];
    input.read_exact(&mut fixed).map_err(|e| e.to_string())?;
    let [magic @ .., a, b, c, d] = fixed;
    let length = u32::from_le_bytes([a, b, c, d]) as usize;
    if ![*REQUEST, *SEALED].contains(&magic) || length > MAX_HEAD {
        return Err("it does not begin as a request".into());
    }
    let json = part(input, length as u64, 1)?;
    if magic == *SEALED {
        return read_sealed(&json, input);
    }
    let head: Head = serde_json::from_slice(&json).map_err(|e| e.to_string())?;
    let onnx = part(input, head.onnx_bytes, 1)?;
    let calibration = head.calibration.read(input)?;
    let test = match head.test {
        None => None,
        Some(test) => {
            let x = test.x.read(input)?;
            let y = part(input, test.labels, 8)?;
            let y = y
                .as_chunks::<8>()
                .0
                .iter()
                .map(|b| f64::from_le_bytes(*b))
                .collect();
            Some(TestSet { x, y })
        }
    };
    let request = Request {
        name: head.name,
        version: head.version,
        onnx,
        task: head.task,
        labels: head.labels,
        capability: head.capability,
        options: Options {
            calibration,
            golden_seeds: head.golden_seeds,
            golden_sample: head.golden_sample,
            allow_low_sqnr: head.allow_low_sqnr,
        },
        test,
    };
    Ok((head.seconds, Asked::Request(request)))
}

fn read_sealed(json: &[u8], input: &mut dyn Read) -> Result<(u64, Asked), String> {
    let head: SealedHead = serde_json::from_slice(json).map_err(|e| e.to_string())?;
    let sealed = Sealed {
        name: head.name,
        version: head.version,
        onnx: part(input, head.onnx_bytes, 1)?.into(),
        task: head.task,
        labels: head.labels,
        capability: head.capability,
        calibration: part(input, head.calibration_bytes, 1)?.into(),
        test: match head.test_bytes {
            None => None,
            Some(length) => Some(part(input, length, 1)?.into()),
        },
        allow_low_sqnr: head.allow_low_sqnr,
    };
    Ok((head.seconds, Asked::Sealed(sealed)))
}

/// An answer as bytes.
pub(super) fn answer(answer: &Answer) -> Result<Vec<u8>, String> {
    let report = |compiled: &Option<Compiled>| compiled.as_ref().map(|c| c.report.clone());
    let head = AnswerHead {
        result: answer.result.as_ref().map(report).map_err(Clone::clone),
        facts: answer.facts.clone(),
    };
    let json = serde_json::to_vec(&head).map_err(|e| e.to_string())?;
    let mut bytes = frame(ANSWER, &json)?;
    if let Ok(Some(compiled)) = &answer.result {
        bytes.extend(&compiled.module);
    }
    Ok(bytes)
}

/// Reads an answer; what comes before it is ignored.
pub(super) fn read_answer(bytes: &[u8]) -> Option<Answer> {
    let start = bytes
        .windows(ANSWER.len())
        .position(|window| window == ANSWER)?;
    let (length, rest) = bytes[start + ANSWER.len()..].split_first_chunk::<4>()?;
    let (json, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    let AnswerHead { result, facts } = serde_json::from_slice(json).ok()?;
    let result = match result {
        Err(error) => Err(error),
        Ok(None) => Ok(None),
        Ok(Some(report)) => {
            let length = usize::try_from(report.module_bytes).ok()?;
            let module = rest.get(..length)?.to_vec();
            Ok(Some(Compiled { module, report }))
        }
    };
    Some(Answer { result, facts })
}
