//! Talking to a running server.

use anyhow::{Context, anyhow, bail};
use serde_json::Value;

/// Which server to talk to.
#[derive(clap::Args)]
pub(super) struct Server {
    /// HTTP address of the server.
    #[arg(
        long,
        env = "TINSMITH_SERVER",
        default_value = "http://127.0.0.1:8080",
        value_name = "URL"
    )]
    server: String,
}

impl Server {
    /// GET.
    pub(super) fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.finish(agent().get(self.url(path)).call())
    }

    /// GET of what may not exist.
    pub(super) fn find(&self, path: &str) -> anyhow::Result<Option<Value>> {
        match agent().get(self.url(path)).call() {
            Ok(response) if response.status() == 404 => Ok(None),
            other => self.finish(other).map(Some),
        }
    }

    /// PUT with a JSON body.
    pub(super) fn put(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.finish(agent().put(self.url(path)).send_json(body))
    }

    /// POST with a JSON body.
    pub(super) fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.finish(agent().post(self.url(path)).send_json(body))
    }

    /// DELETE.
    pub(super) fn delete(&self, path: &str) -> anyhow::Result<Value> {
        self.finish(agent().delete(self.url(path)).call())
    }

    /// POST of files as multipart/form-data.
    pub(super) fn post_files(
        &self,
        path: &str,
        files: &[(&str, Vec<u8>)],
    ) -> anyhow::Result<Value> {
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
        self.finish(
            agent()
                .post(self.url(path))
                .header("Content-Type", kind)
                .send(&body[..]),
        )
    }

    /// GET of something that is no JSON, of any size.
    pub(super) fn download(&self, path: &str, to: &mut dyn std::io::Write) -> anyhow::Result<()> {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_recv_response(Some(std::time::Duration::from_secs(120)))
            .build()
            .into();
        let result = agent.get(self.url(path)).call();
        let mut response = match result {
            Ok(response) if response.status().is_success() => response,
            other => return self.finish(other).map(|_| ()),
        };
        let mut reader = response.body_mut().with_config().limit(u64::MAX).reader();
        std::io::copy(&mut reader, to)
            .with_context(|| format!("{} stopped sending", self.server))?;
        Ok(())
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.server.trim_end_matches('/'))
    }

    fn finish(
        &self,
        result: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> anyhow::Result<Value> {
        let mut response = result.map_err(|error| self.unreachable(error))?;
        let status = response.status();
        let body: Value = response
            .body_mut()
            .with_config()
            .limit(64 << 20)
            .read_json()
            .with_context(|| format!("{} answered {status} without JSON", self.server))?;
        if status.is_success() {
            return Ok(body);
        }
        match body["error"]["message"].as_str() {
            Some(message) => bail!("{message}"),
            None => bail!("{} answered {status}", self.server),
        }
    }

    fn unreachable(&self, error: ureq::Error) -> anyhow::Error {
        let server = &self.server;
        match error {
            ureq::Error::Io(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                anyhow!("no server at {server}; start one with: tinsmith serve")
            }
            ureq::Error::BadUri(_) | ureq::Error::Http(_) => {
                anyhow!("--server '{server}': expected http://HOST:PORT")
            }
            error => anyhow!("the server at {server} does not answer: {error}"),
        }
    }
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(std::time::Duration::from_secs(120)))
        .build()
        .into()
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
