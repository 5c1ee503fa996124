//! A command that signs: what is to be signed on its standard input, the signature on its standard
//! output.

use std::io::{Read, Write};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// How long it may take.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);

/// More than a signature, as text or bytes, and less than a flood.
const MAX_OUTPUT: u64 = 4096;

/// Why a command has not signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// It can't be started, or written to.
    #[error("cannot run '{0}': {1}")]
    Start(String, std::io::Error),
    /// It took too long.
    #[error("'{0}' did not sign within {limit} s", limit = .1.as_secs())]
    TooLong(String, Duration),
    /// It ended with an error.
    #[error("'{0}' failed: {1}")]
    Failed(String, String),
    /// What it wrote is no signature of 64 bytes.
    #[error("'{0}' wrote {1} bytes, a signature has 64")]
    Length(String, usize),
}

/// Runs `command` by the shell; ends it, and all that it started, when the time is over.
pub(crate) fn sign(
    command: &str,
    message: &[u8],
    limit: Duration,
) -> Result<[u8; 64], CommandError> {
    let start = |error| CommandError::Start(command.to_owned(), error);
    let mut child = Command::new("/bin/sh")
        .args(["-c", command])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(start)?;
    let group = Pid::from_raw(child.id().cast_signed());
    if let Some(mut input) = child.stdin.take() {
        // It may know without reading.
        let _ = input.write_all(message);
    }
    let output = child.stdout.take();
    let errors = child.stderr.take();
    let (done, wait) = mpsc::channel();
    let collect = move || {
        let mut written = Vec::new();
        if let Some(output) = output {
            let _ = output.take(MAX_OUTPUT).read_to_end(&mut written);
        }
        let mut said = Vec::new();
        if let Some(errors) = errors {
            let _ = errors.take(MAX_OUTPUT).read_to_end(&mut said);
        }
        let _ = done.send((written, said));
    };
    let _ = thread::Builder::new()
        .name("sign".to_owned())
        .spawn(collect)
        .map_err(start)?;
    let deadline = Instant::now() + limit;
    let collected = wait.recv_timeout(limit);
    let status = loop {
        match child.try_wait().map_err(start)? {
            Some(status) => break Some(status),
            None if Instant::now() >= deadline => break None,
            None => thread::sleep(Duration::from_millis(5)),
        }
    };
    let (Some(status), Ok((written, said))) = (status, collected) else {
        let _ = killpg(group, Signal::SIGKILL);
        let _ = child.wait();
        return Err(CommandError::TooLong(command.to_owned(), limit));
    };
    // Who writes without end fails because nobody reads on.
    if written.len() as u64 >= MAX_OUTPUT {
        return Err(CommandError::Length(command.to_owned(), written.len()));
    }
    if !status.success() {
        let said = String::from_utf8_lossy(&said);
        let text = format!("{status} {}", said.trim()).trim().to_owned();
        return Err(CommandError::Failed(command.to_owned(), text));
    }
    let len = written.len();
    written
        .try_into()
        .map_err(|_| CommandError::Length(command.to_owned(), len))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(500);

    #[test]
    fn it_gets_the_message_and_gives_the_signature() {
        let message = [7; 55];
        let signature = sign("head -c 55; head -c 9 /dev/zero", &message, LIMIT).unwrap();
        assert_eq!(
            (&signature[..55], &signature[55..]),
            (&message[..], &[0; 9][..])
        );
    }

    #[test]
    fn whatever_else_it_does_is_an_error_in_time() {
        let started = Instant::now();
        let error = |command: &str| sign(command, &[0; 55], SOON).unwrap_err().to_string();
        assert!(error("sleep 60").contains("did not sign within"));
        // What it leaves behind holds its output open.
        assert!(error("sleep 60 & true").contains("did not sign within"));
        assert!(error("cat > /dev/null; yes").contains("bytes, a signature has 64"));
        assert!(error("echo no key >&2; exit 3").contains("no key"));
        assert!(error("true").contains("wrote 0 bytes"));
        assert!(error("there-is-no-such-command").contains("failed"));
        assert!(started.elapsed() < Duration::from_secs(10));
    }
}
