//! `tinsmith completions` and `tinsmith man`.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, out};

/// Print the completion script of a shell.
///
/// For bash: tinsmith completions bash > ~/.local/share/bash-completion/completions/tinsmith
#[derive(clap::Args)]
pub(super) struct Completions {
    /// The shell.
    shell: Shell,
}

/// Write the manual pages, one for each command.
#[derive(clap::Args)]
pub(super) struct Man {
    /// The folder, e.g. /usr/local/share/man/man1; made if it is not there.
    folder: PathBuf,
}

impl Completions {
    pub(super) fn run(self) -> Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "tinsmith", &mut script);
        out::write(&script)
    }
}

impl Man {
    pub(super) fn run(self) -> Result<()> {
        std::fs::create_dir_all(&self.folder)
            .and_then(|()| clap_mangen::generate_to(Cli::command(), &self.folder))
            .with_context(|| format!("cannot write to {}", self.folder.display()))
    }
}
