//! `tinsmith login`.

use anyhow::{Context, Result};

use super::api::Server;
use super::out;

/// Make a link that lets a browser in.
///
/// It can be used once, within 10 minutes, and the browser may do what the token may that this command
/// shows, for 12 hours at most.
#[derive(clap::Args)]
pub(super) struct Login {
    #[command(flatten)]
    server: Server,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Login {
    pub(super) fn run(self) -> Result<()> {
        let mut answer = self
            .server
            .post("/api/v1/session/link", &serde_json::json!({}))?;
        let path = answer["link"]
            .as_str()
            .context("an answer without a link")?;
        let link = self.server.url(path);
        if self.json {
            answer["link"] = link.into();
            return out::json(&answer);
        }
        out::print(&format!("{}\n", out::plain(&link)))
    }
}
