//! A build in a process of its own: what crashes, hangs or eats memory there is an error here.
//!
//! The child is the same binary (hidden command `compile-child`). It reads one request from its
//! standard input, writes progress to standard error as JSON lines, and the answer to standard
//! output. Both frames are a magic, the length of a JSON head as u32, the head, then raw parts;
//! all numbers are little endian.

mod frame;

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::{ChildFailure, CompileError, Compiled, MEASURE, Progress, Request};

/// Address space of a child in bytes.
const MAX_MEMORY: u64 = 1 << 30;
/// How long a child may take from the file to the verified module.
const MAX_SECONDS: u64 = 20;
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

/// The child's side: reads a request, compiles, answers. Nothing else may be printed on standard
/// output.
pub fn serve(compile: Compile) -> ExitCode {
    use nix::sys::resource::{Resource, setrlimit};
    // Where the limit can't be set, the parent's time limit remains.
    if let Err(error) = setrlimit(Resource::RLIMIT_AS, MAX_MEMORY, MAX_MEMORY) {
        eprintln!("no memory limit: {error}");
    }
    let request = match frame::read_request(&mut std::io::stdin().lock()) {
        Ok(request) => request,
        Err(problem) => {
            eprintln!("not a request: {problem}");
            return ExitCode::FAILURE;
        }
    };
    let result = compile(&request, &mut |progress| {
        if let Ok(line) = serde_json::to_string(&progress) {
            eprintln!("{line}");
        }
    });
    let answer = match frame::answer(&result) {
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

/// Compiles in a child process: `exe` is this program.
pub fn compile(
    exe: &Path,
    request: &Request,
    progress: &mut dyn FnMut(Progress),
) -> Result<Compiled, CompileError> {
    let mut command = Command::new(exe);
    command.arg(COMMAND);
    run(command, Duration::from_secs(MAX_SECONDS), request, progress)
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
    mut command: Command,
    limit: Duration,
    request: &Request,
    progress: &mut dyn FnMut(Progress),
) -> Result<Compiled, CompileError> {
    let fail = |reason| CompileError::Child {
        model: request.name.clone(),
        reason,
    };
    let not_started = |why: String| fail(ChildFailure::NotStarted { why });
    let mut deadline = Instant::now() + limit;
    let mut seconds = limit.as_secs();
    let mut measuring = false;
    let input = frame::request(request).map_err(not_started)?;
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
        && let Some(result) = frame::read_answer(&bytes)
    {
        return result;
    }
    if last.contains("memory allocation of") {
        return Err(fail(ChildFailure::OutOfMemory {
            mebibytes: MAX_MEMORY >> 20,
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
