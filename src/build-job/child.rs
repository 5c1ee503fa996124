//! A build in a process of its own: what crashes, hangs or eats memory there is an error here.
//!
//! The child is the same binary (hidden command `compile-child`). It reads one request from its
//! standard input, writes progress to standard error as JSON lines, and the answer to standard
//! output. Both frames are a magic, the length of a JSON head as u32, the head, then raw parts;
//! all numbers are little endian.

mod frame;
mod limits;

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::{
    ChildFailure, CompileError, Compiled, Facts, MEASURE, Options, Progress, Request, Samples,
    SamplesFacts, Sealed, TestSet,
};
use frame::{Answer, Asked};

/// How long a child may take from the file to the verified module, if nobody says otherwise.
pub const LIMIT: Duration = Duration::from_secs(20);
/// How long it may then take to measure a test set.
const MAX_MEASURE_SECONDS: u64 = 100;
/// Most bytes of an answer that are kept.
const MAX_ANSWER: u64 = 128 << 20;
/// Most bytes of a line of progress, and of a crash message.
const MAX_LINE: u64 = 4096;

/// Hidden command that makes the binary a compiling child.
pub const COMMAND: &str = "compile-child";

/// Compiles a request in this process.
pub type Compile = fn(&Request, &mut dyn FnMut(Progress)) -> Result<Compiled, CompileError>;

/// How data files are read.
#[derive(Clone, Copy)]
pub struct Readers {
    /// A file of samples.
    pub samples: fn(&[u8]) -> Result<Samples, String>,
    /// A file of labelled samples.
    pub test: fn(&[u8]) -> Result<TestSet, String>,
}

/// The child's side: limits itself, reads a request, opens its files, compiles, answers. Nothing
/// else may be printed on standard output.
pub fn serve(compile: Compile, readers: Readers) -> ExitCode {
    limits::apply();
    let asked = match frame::read_request(&mut std::io::stdin().lock()) {
        Ok((seconds, asked)) => {
            limits::cpu(seconds);
            asked
        }
        Err(problem) => {
            eprintln!("not a request: {problem}");
            return ExitCode::FAILURE;
        }
    };
    let mut progress = |progress: Progress| {
        if let Ok(line) = serde_json::to_string(&progress) {
            eprintln!("{line}");
        }
    };
    let answer = match asked {
        Asked::Request(request) => Answer {
            result: compile(&request, &mut progress).map(Some),
            facts: None,
        },
        Asked::Sealed(sealed) => open(&sealed, compile, readers, &mut progress),
    };
    let answer = match frame::answer(&answer) {
        Ok(answer) => answer,
        Err(problem) => {
            eprintln!("no answer: {problem}");
            return ExitCode::FAILURE;
        }
    };
    let mut out = std::io::stdout().lock();
    match out.write_all(&answer).and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn open(
    sealed: &Sealed,
    compile: Compile,
    readers: Readers,
    progress: &mut dyn FnMut(Progress),
) -> Answer {
    let wrong = |file: &str, problem: String| Answer {
        result: Err(CompileError::Data {
            model: sealed.name.clone(),
            problem: format!("the {file} file can't be used: {problem}"),
        }),
        facts: None,
    };
    let calibration = match (readers.samples)(&sealed.calibration) {
        Ok(samples) => samples,
        Err(problem) => return wrong("calibration", problem),
    };
    let test = match sealed.test.as_deref().map(readers.test).transpose() {
        Ok(test) => test.map(|test| SamplesFacts::of(&test.x)),
        Err(problem) => return wrong("test", problem),
    };
    let samples = SamplesFacts::of(&calibration);
    let options = Options {
        allow_low_sqnr: sealed.allow_low_sqnr,
        ..Options::new(calibration)
    };
    let facts = Facts {
        options: options.digest(),
        calibration: samples,
        test,
    };
    let result = match &sealed.capability {
        None => Ok(None),
        Some(capability) => {
            let request = Request {
                name: sealed.name.clone(),
                version: sealed.version.clone(),
                onnx: sealed.onnx.to_vec(),
                task: sealed.task,
                labels: sealed.labels.clone(),
                capability: capability.clone(),
                options,
                test: None,
            };
            compile(&request, progress).map(Some)
        }
    };
    Answer {
        result,
        facts: Some(facts),
    }
}

/// Opens the files of a build in a child process, and compiles if there is a device: `exe` is this
/// program. The facts are told also if the model can't be compiled.
///
/// # Errors
/// The data files can't be read, or the child did not answer.
pub fn compile_sealed(
    exe: &Path,
    sealed: &Sealed,
    limit: Duration,
) -> Result<(Facts, Result<Option<Compiled>, CompileError>), CompileError> {
    let mut command = Command::new(exe);
    command.arg(COMMAND);
    let input = frame::sealed(sealed, cpu_seconds(limit));
    let answer = exchange(command, limit, &sealed.name, input, &mut |_| {})?;
    match (answer.facts, answer.result) {
        (Some(facts), result) => Ok((facts, result)),
        (None, Err(error)) => Err(error),
        (None, Ok(_)) => Err(CompileError::Child {
            model: sealed.name.clone(),
            reason: ChildFailure::Crashed {
                how: "its answer has no facts".to_owned(),
            },
        }),
    }
}

/// More than any honest build needs within its time.
fn cpu_seconds(limit: Duration) -> u64 {
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    (limit.as_secs() + MAX_MEASURE_SECONDS) * threads
}

/// Compiles in a child process: `exe` is this program.
pub fn compile(
    exe: &Path,
    request: &Request,
    limit: Duration,
    progress: &mut dyn FnMut(Progress),
) -> Result<Compiled, CompileError> {
    let mut command = Command::new(exe);
    command.arg(COMMAND);
    run(command, limit, request, progress)
}

/// Kills the child when the parent leaves early.
struct Reaper(Child);

impl Drop for Reaper {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Compiles in the child process that `command` starts and whose main ends in [`serve`], for at most
/// `limit` up to the verified module.
pub fn run(
    command: Command,
    limit: Duration,
    request: &Request,
    progress: &mut dyn FnMut(Progress),
) -> Result<Compiled, CompileError> {
    let input = frame::request(request, cpu_seconds(limit));
    let answer = exchange(command, limit, &request.name, input, progress)?;
    answer.result?.ok_or_else(|| CompileError::Child {
        model: request.name.clone(),
        reason: ChildFailure::Crashed {
            how: "its answer has no module".to_owned(),
        },
    })
}

fn exchange(
    mut command: Command,
    limit: Duration,
    name: &str,
    input: Result<Vec<u8>, String>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Answer, CompileError> {
    let fail = |reason| CompileError::Child {
        model: name.to_owned(),
        reason,
    };
    let not_started = |why: String| fail(ChildFailure::NotStarted { why });
    let mut deadline = Instant::now() + limit;
    let mut seconds = limit.as_secs();
    let mut measuring = false;
    let input = input.map_err(not_started)?;
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = Reaper(command.spawn().map_err(|e| not_started(e.to_string()))?);
    let (Some(mut stdin), Some(stdout), Some(stderr)) = (
        child.0.stdin.take(),
        child.0.stdout.take(),
        child.0.stderr.take(),
    ) else {
        return Err(not_started("it has no pipes".into()));
    };
    let (lines, received) = mpsc::channel();
    // Each thread ends when the child closes its pipe, at the latest when it is killed.
    std::thread::spawn(move || {
        // A child that dies while reading is told by its exit code.
        let _ = stdin.write_all(&input);
    });
    let answer = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        stdout
            .take(MAX_ANSWER)
            .read_to_end(&mut bytes)
            .map(|_| bytes)
    });
    std::thread::spawn(move || {
        let mut stderr = BufReader::new(stderr);
        loop {
            let mut line = Vec::new();
            match (&mut stderr).take(MAX_LINE).read_until(b'\n', &mut line) {
                Ok(1..)
                    if lines
                        .send(String::from_utf8_lossy(&line).into_owned())
                        .is_ok() => {}
                _ => break,
            }
        }
    });
    let mut last = String::new();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match received.recv_timeout(left) {
            Ok(line) => match serde_json::from_str(&line) {
                Ok(step) => {
                    let step: Progress = step;
                    if step.stage == MEASURE && !measuring {
                        measuring = true;
                        deadline = Instant::now() + Duration::from_secs(MAX_MEASURE_SECONDS);
                        seconds = MAX_MEASURE_SECONDS;
                    }
                    progress(step);
                }
                Err(_) if line.contains("memory allocation of") || last.is_empty() => last = line,
                Err(_) => {}
            },
            Err(mpsc::RecvTimeoutError::Timeout) => {
                return Err(fail(ChildFailure::TimedOut { seconds }));
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
        }
    }
    let status = loop {
        match child.0.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(2)),
            Ok(None) => {
                return Err(fail(ChildFailure::TimedOut { seconds }));
            }
            Err(error) => return Err(not_started(error.to_string())),
        }
    };
    let bytes = match answer.join() {
        Ok(Ok(bytes)) => bytes,
        _ => Vec::new(),
    };
    if status.success()
        && let Some(answer) = frame::read_answer(&bytes)
    {
        return Ok(answer);
    }
    if last.contains("memory allocation of") {
        return Err(fail(ChildFailure::OutOfMemory {
            mebibytes: limits::MAX_MEMORY >> 20,
        }));
    }
    Err(fail(ChildFailure::Crashed {
        how: describe(status, last.trim()),
    }))
}

fn describe(status: ExitStatus, last: &str) -> String {
    use std::os::unix::process::ExitStatusExt;
    let mut text = match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        _ => "unknown status".into(),
    };
    if !last.is_empty() {
        text.push_str(": ");
        text.extend(last.chars().take(200));
    }
    text
}

#[cfg(test)]
mod tests;
