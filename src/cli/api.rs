//! Talking to a running server.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;
use ureq::http::{Request, Response};
use ureq::{Agent, AsSendBody, Body};

use crate::bearer::{Bearer, Bearers};
use crate::trust;

/// Where `serve` listens unless it is told otherwise.
pub(super) const DEFAULT: &str = "http://127.0.0.1:8080";
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// The longest that a server that has too much to do is waited for, and how often.
const LONGEST_WAIT: u64 = 10;
const TRIES: u32 = 5;
/// The most bytes of an answer in JSON.
const ANSWER: u64 = 64 << 20;

/// Which server to talk to, and with which token.
#[derive(clap::Args)]
pub(super) struct Server {
    /// HTTP address of the server.
    #[arg(
        long,
        env = "TINSMITH_SERVER",
        default_value = DEFAULT,
        value_name = "URL"
    )]
    server: String,
    /// Token. Without one that in the folder of the store is taken, if the server is on this
    /// machine.
    #[arg(
        long,
        env = "TINSMITH_TOKEN",
        hide_env_values = true,
        value_name = "TOKEN"
    )]
    token: Option<String>,
    /// Folder of the server's store, on this machine: its admin token is taken. Without it that of
    /// TINSMITH_STORE, of the file TINSMITH_CONFIG, or tinsmith-data.
    #[arg(long, value_name = "DIR")]
    pub(super) store: Option<PathBuf>,
    /// For https: a PEM file with the authorities to trust, instead of those of this machine.
    #[arg(long, env = "TINSMITH_CA", value_name = "FILE")]
    ca: Option<PathBuf>,
}

impl Server {
    /// GET.
    pub(super) fn get(&self, path: &str) -> Result<Value> {
        let (response, key) = self.call("GET", path, None)?;
        self.read(response, key.as_ref())
    }

    /// GET of what may not exist.
    pub(super) fn find(&self, path: &str) -> Result<Option<Value>> {
        let (response, key) = self.call("GET", path, None)?;
        if response.status() == 404 {
            return Ok(None);
        }
        self.read(response, key.as_ref()).map(Some)
    }

    /// PUT with a JSON body.
    pub(super) fn put(&self, path: &str, body: &Value) -> Result<Value> {
        self.send("PUT", path, body)
    }

    /// POST with a JSON body.
    pub(super) fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.send("POST", path, body)
    }

    /// DELETE.
    pub(super) fn delete(&self, path: &str) -> Result<Value> {
        let (response, key) = self.call("DELETE", path, None)?;
        self.read(response, key.as_ref())
    }

    /// POST of files as multipart/form-data.
    pub(super) fn post_files(&self, path: &str, files: &[(&str, Vec<u8>)]) -> Result<Value> {
        let boundary = boundary(files);
        let mut body = Vec::new();
        for (name, bytes) in files {
            body.extend(
                format!(
                    "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"; \
                 filename=\"{name}\"\r\nContent-Type: application/octet-stream\r\n\r\n"
                )
                .bytes(),
            );
            body.extend(bytes);
            body.extend(b"\r\n");
        }
        body.extend(format!("--{boundary}--\r\n").bytes());
        let kind = format!("multipart/form-data; boundary={boundary}");
        let (response, key) = self.call("POST", path, Some((&kind, &body)))?;
        self.read(response, key.as_ref())
    }

    /// GET of something that is no JSON, of any size.
    pub(super) fn download(&self, path: &str, to: &mut dyn std::io::Write) -> Result<()> {
        let (mut response, key) = self.call("GET", path, None)?;
        if !response.status().is_success() {
            return self.read(response, key.as_ref()).map(drop);
        }
        let mut reader = response.body_mut().with_config().limit(u64::MAX).reader();
        std::io::copy(&mut reader, to)
            .with_context(|| format!("{} stopped sending", self.server))?;
        Ok(())
    }

    /// Where a path is.
    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.server.trim_end_matches('/'))
    }

    fn send(&self, method: &str, path: &str, body: &Value) -> Result<Value> {
        let body = body.to_string();
        let body = Some(("application/json", body.as_bytes()));
        let (response, key) = self.call(method, path, body)?;
        self.read(response, key.as_ref())
    }

    /// Asks, again if the server has too much to do; and with which key it was asked.
    fn call(
        &self,
        method: &str,
        path: &str,
        body: Option<(&str, &[u8])>,
    ) -> Result<(Response<Body>, Option<Bearer>)> {
        let (token, store) = (self.token.as_deref(), self.store.as_deref());
        let key = Bearers::of_this_process().find(token, store, &self.server)?;
        let agent = self.agent()?;
        let mut tries = 0;
        loop {
            let mut request = Request::builder().method(method).uri(self.url(path));
            if let Some(key) = &key {
                let value = format!("Bearer {}", key.secret.reveal());
                request = request.header("Authorization", value);
            }
            let answered = match body {
                None => run(&agent, request.body(())),
                Some((kind, body)) => run(&agent, request.header("Content-Type", kind).body(body)),
            };
            let response = answered.map_err(|error| self.unreachable(error))?;
            let wait = response.headers().get("Retry-After");
            let wait = wait.and_then(|wait| wait.to_str().ok()?.parse().ok());
            let again = wait.filter(|wait| *wait <= LONGEST_WAIT && tries < TRIES);
            match again.filter(|_| response.status() == 429) {
                Some(wait) => std::thread::sleep(Duration::from_secs(wait)),
                None => return Ok((response, key)),
            }
            tries += 1;
        }
    }

    fn agent(&self) -> Result<Agent> {
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_connect(Some(PATIENCE))
            .timeout_recv_response(Some(PATIENCE));
        if self.server.starts_with("https:") {
            config = config.tls_config(trust::tls(self.ca.as_deref())?);
        }
        Ok(config.build().into())
    }

    fn read(&self, mut response: Response<Body>, key: Option<&Bearer>) -> Result<Value> {
        let status = response.status();
        let body: Value = response
            .body_mut()
            .with_config()
            .limit(ANSWER)
            .read_json()
            .with_context(|| format!("{} answered {status} without JSON", self.server))?;
        if status.is_success() {
            return Ok(body);
        }
        let message = body["error"]["message"].as_str();
        match (status.as_u16(), message, key) {
            (401, _, None) => bail!(
                "the server at {} asks for a token: give --token or TINSMITH_TOKEN, or --store \
                 with the folder of its store",
                self.server
            ),
            (401, _, Some(key)) => {
                bail!(
                    "the server at {} does not know the token {key}",
                    self.server
                )
            }
            (_, Some(message), _) => bail!("{message}"),
            (_, None, _) => bail!("{} answered {status}", self.server),
        }
    }

    fn unreachable(&self, error: ureq::Error) -> anyhow::Error {
        let server = &self.server;
        match error {
            ureq::Error::Io(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                anyhow!("no server at {server}; start one with: tinsmith serve")
            }
            ureq::Error::BadUri(_) | ureq::Error::Http(_) => {
                anyhow!("--server '{server}': expected http://HOST:PORT or https://HOST:PORT")
            }
            ureq::Error::Io(error) if is_tls(&error) => {
                anyhow!("the server at {server} is not trusted: {error}")
            }
            error => anyhow!("the server at {server} does not answer: {error}"),
        }
    }
}

fn is_tls(error: &std::io::Error) -> bool {
    error
        .get_ref()
        .is_some_and(|inner| inner.is::<rustls::Error>())
}

fn run(
    agent: &Agent,
    request: Result<Request<impl AsSendBody>, ureq::http::Error>,
) -> Result<Response<Body>, ureq::Error> {
    agent.run(request?)
}

/// A line that none of the files has.
fn boundary(files: &[(&str, Vec<u8>)]) -> String {
    let all: Vec<u8> = files
        .iter()
        .flat_map(|(_, bytes)| bytes.iter().copied())
        .collect();
    format!("tinsmith-{}", tinsmith_digest::Digest::of(&all))
}

/// A path segment with everything escaped that has a meaning in a URL.
pub(super) fn segment(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                (byte as char).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn endpoint_names_become_path_segments() {
        assert_eq!(super::segment("urn:imei:35/7 a"), "urn%3Aimei%3A35%2F7%20a");
    }
}
