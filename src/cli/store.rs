//! `tinsmith store`.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use clap::Subcommand;
use serde_json::json;

use tinsmith_store::archive::{self, Records, Summary};
use tinsmith_store::{Files, SledStore, Store, StoreError, private};

use super::api::Server;

/// Check, back up or restore what a server keeps.
#[derive(Subcommand)]
pub(super) enum Keep {
    /// Prove that nothing which was durable is missing. The server must not run; the store is left
    /// as it is.
    ///
    /// Exits with an error if something is missing or damaged.
    Check {
        /// Folder of the store.
        #[arg(long, default_value = "tinsmith-data", value_name = "DIR")]
        store: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Write everything into one file: of a running server, or with --store of one that does not
    /// run.
    #[command(mut_arg("store", |store| store.help("Folder of the store of a server that does not run")))]
    Backup {
        /// The file to write.
        file: PathBuf,
        #[command(flatten)]
        server: Server,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Make a store from a backup: all of it, or nothing if the file is damaged.
    Restore {
        /// A file that `tinsmith store backup` wrote.
        file: PathBuf,
        /// Folder of the store; absent or empty.
        #[arg(long, default_value = "tinsmith-data", value_name = "DIR")]
        store: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

impl Keep {
    pub(super) fn run(self) -> Result<()> {
        match self {
            Self::Check { store, json } => check(&store, json),
            Self::Backup {
                file,
                mut server,
                json,
            } => {
                let store = server.store.take();
                let part = file.with_extension("part");
                let made = backup(&part, store.as_deref(), &server);
                let summary = made.inspect_err(|_| drop(std::fs::remove_file(&part)))?;
                std::fs::rename(&part, &file)
                    .with_context(|| format!("cannot write {}", file.display()))?;
                tell(&summary, json, &format!("wrote {}", file.display()));
                if summary.damaged > 0 {
                    eprintln!("{} damaged files were left out", summary.damaged);
                }
                Ok(())
            }
            Self::Restore { file, store, json } => {
                let from = File::open(&file);
                let from = from.with_context(|| format!("cannot read {}", file.display()))?;
                let summary = SledStore::restore(from, &store).with_context(|| {
                    format!("cannot restore {} to {}", file.display(), store.display())
                })?;
                tell(&summary, json, &format!("restored {}", store.display()));
                Ok(())
            }
        }
    }
}

fn check(folder: &Path, json: bool) -> Result<()> {
    let (mark, loss) = SledStore::check(folder).map_err(|error| problem(folder, &error))?;
    let files = Files::open_as_is(&folder.join("files"));
    let mut damaged = Vec::new();
    let mut count = 0;
    for digest in files.list().unwrap_or_default() {
        count += 1;
        if !files.verify(&digest).unwrap_or(false) {
            damaged.push(digest.to_string());
        }
    }
    let lost = loss.map(|loss| loss.to_string());
    if json {
        let value = json!({
            "commits": mark.sequence,
            "records": mark.content.records,
            "loss": lost,
            "files": count,
            "damaged_files": damaged,
        });
        println!("{value:#}");
    } else {
        let (commits, records) = (mark.sequence, mark.content.records);
        println!("{commits} commits, {records} records, {count} files");
        for digest in &damaged {
            println!("damaged: {}", folder.join("files").join(digest).display());
        }
    }
    if let Some(loss) = lost {
        bail!("the store in {} has lost data: {loss}", folder.display());
    }
    if !damaged.is_empty() {
        bail!(
            "{} of {count} files are damaged; modules are built again, models must be added again",
            damaged.len()
        );
    }
    Ok(())
}

/// Writes the archive to `part`, and reads it to its end.
fn backup(part: &Path, store: Option<&Path>, server: &Server) -> Result<Summary> {
    let write = || format!("cannot write {}", part.display());
    let mut out = BufWriter::new(private::file(part).with_context(write)?);
    let mut damaged = 0;
    match store {
        Some(folder) => {
            if !folder.join("records").is_dir() {
                bail!("there is no store in {}", folder.display());
            }
            let store = SledStore::open(folder).map_err(|error| problem(folder, &error))?;
            let files = Files::open(&folder.join("files")).with_context(write)?;
            let records = Records::new(part.parent().unwrap_or(Path::new("."))).with_context(write);
            let runtime = tokio::runtime::Builder::new_current_thread().build()?;
            let records = runtime.block_on(store.export(records?))?;
            damaged = archive::write(records, &files, &mut out)
                .with_context(write)?
                .damaged;
        }
        None => server.download("/api/v1/store/backup", &mut out)?,
    }
    let file = out
        .into_inner()
        .map_err(|error| error.into_error())
        .with_context(write)?;
    file.sync_all().with_context(write)?;
    let written = File::open(part).with_context(write)?;
    let summary = archive::verify(written).context("the backup is not whole")?;
    Ok(Summary { damaged, ..summary })
}

fn tell(summary: &Summary, json: bool, done: &str) {
    let (mark, files) = (summary.mark, summary.files);
    if json {
        let value = json!({
            "commits": mark.sequence,
            "records": mark.content.records,
            "files": files,
            "damaged_files": summary.damaged,
        });
        println!("{value:#}");
    } else {
        let (commits, records) = (mark.sequence, mark.content.records);
        println!("{done}: {commits} commits, {records} records, {files} files");
    }
}

/// Why a store does not open, and what to do.
pub(super) fn problem(folder: &Path, error: &StoreError) -> anyhow::Error {
    let folder = folder.display();
    match error {
        StoreError::InUse => anyhow!(
            "the store in {folder} belongs to a tinsmith that is running; stop that one, or name \
             another folder with --store"
        ),
        StoreError::Lost(loss) => anyhow!(
            "the store in {folder} has lost data: {loss}; restore a backup (tinsmith store \
             restore), or go on with what is there (tinsmith serve --accept-loss)"
        ),
        error => anyhow!("cannot open the store in {folder}: {error}"),
    }
}
