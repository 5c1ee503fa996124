//! `tinsmith demo`.

mod devices;
mod outcome;
mod watch;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use self::devices::{Device, Fleet};
use self::outcome::{Metrics, Row};
use super::serve::{self, Running};
use crate::Compiler;
use crate::out;
use tinsmith_build_job::{Task, metric};
use tinsmith_inference::{Answer, Session};
use tinsmith_lwm2m::{BootstrapConfig, Rule};
use tinsmith_server::{self as server, Config};
use tinsmith_update::{Ask, Command, Reply, Status, Summary};

/// How long the updates may take in all.
const PATIENCE: Duration = Duration::from_secs(120);
/// Seconds a device waits for the commit.
const TRIAL: u32 = 60;

/// Run the whole job on this machine: server, devices, builds, updates, inference.
///
/// Starts the server on loopback and a handful of devices as processes of their own, the same
/// client code that runs on a microcontroller. Each bootstraps and registers; the server reads
/// what it is made of, compiles its model, sends it, watches the trial and commits. Then held-out
/// samples are run on every device.
#[derive(clap::Args)]
pub(super) struct Demo {
    /// Print the summary as one JSON document on standard output.
    #[arg(long)]
    json: bool,
    /// Keep server and devices running afterwards.
    #[arg(long)]
    stay: bool,
    /// Samples to run on each device; without it the whole test set.
    #[arg(long, value_name = "N")]
    samples: Option<usize>,
    /// Folder for the store, the devices' flash and their logs; it must not exist. Without it a
    /// new one in the system's folder for temporary files.
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
}

impl Demo {
    pub(super) fn run(self, compiler: Compiler) -> Result<()> {
        let folder = match &self.folder {
            Some(folder) => {
                std::fs::create_dir(folder).with_context(|| {
                    let folder = folder.display();
                    format!("--folder: cannot create {folder}; name a folder that is not there yet")
                })?;
                folder.clone()
            }
            None => fresh_folder()?,
        };
        let result = serve::runtime()?.block_on(self.job(&folder, compiler));
        if self.folder.is_none() && result.is_ok() {
            let _ = std::fs::remove_dir_all(&folder);
        } else if self.folder.is_none() {
            let folder = folder.display();
            out::say(format_args!("the demo's folder is kept: {folder}"));
        }
        result
    }

    async fn job(&self, folder: &std::path::Path, compiler: Compiler) -> Result<()> {
        let started = Instant::now();
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let config = Config {
            coap: loopback,
            bootstrap_listener: Some(loopback),
            http: loopback,
            store: folder.join("server"),
            bootstrap: BootstrapConfig {
                rules: vec![Rule {
                    lifetime: 60,
                    ..Rule::default()
                }],
                ..BootstrapConfig::default()
            },
            ..Config::default()
        };
        let choices = serve::Choices {
            dtls: Some(serve::Dtls {
                management: loopback,
                bootstrap: loopback,
                only: true,
                own: serve::OwnFiles::default(),
            }),
            ..serve::Choices::default()
        };
        let running = serve::start(config, choices, Some(compiler)).await?;
        let addresses = running.server.addresses();
        let coaps = addresses.coaps.context("no listener with DTLS")?;
        let bootstrap = addresses.coaps_bootstrap.context("no bootstrap listener")?;
        let say = watch::Say::new(started);
        say.line("server", &format!("registers devices at  coaps://{coaps}"));
        say.line(
            "server",
            &format!("bootstraps devices at coaps://{bootstrap}"),
        );
        say.line(
            "server",
            &format!("HTTP API at           {}/api/v1", running.url()),
        );

        let watching = watch::start(&running.server, say);
        let mut fleet = Fleet::start(folder, bootstrap, &running.server).await?;
        for device in Fleet::DEVICES {
            let model = running.zoo.find(device.model)?;
            let command = Command::Want {
                model: model.card.name.clone(),
                version: model.card.version.clone(),
                source: model.source,
                trial_s: TRIAL,
            };
            say.line(
                device.endpoint,
                &format!("a {}, shall run {}", device.about, device.model),
            );
            running
                .server
                .ask(device.endpoint, Ask::Decide(command))
                .await?;
        }
        let statuses = settle(&running, &mut fleet).await?;
        watching.abort();

        let runs = Fleet::DEVICES.iter().zip(statuses).map(|(device, status)| {
            let running = &running;
            async move { self.samples(running, device, status, compiler, say).await }
        });
        let mut rows = Vec::new();
        for row in join_all(runs).await {
            rows.push(row?);
        }
        let good = rows.iter().all(|row| row.as_expected);
        if self.json {
            out::json(&outcome::json(&rows, started.elapsed()))?;
        } else {
            out::print(&format!("\n{}\n", outcome::text(&rows, started.elapsed())))?;
        }
        if self.stay {
            out::say("\nThe server and the devices keep running; Ctrl-C ends them. For example:");
            let (url, store) = (running.url(), folder.join("server"));
            out::say(format_args!(
                "  tinsmith device list --server {url} --store {}",
                store.display()
            ));
            let end = server::terminated();
            end.await.context("cannot wait for signals")?;
        }
        fleet.stop();
        running.server.shutdown().await;
        if !good {
            bail!("not every device ended as it should; see the table");
        }
        Ok(())
    }

    async fn samples(
        &self,
        running: &Running,
        device: &Device,
        status: Status,
        compiler: Compiler,
        say: watch::Say,
    ) -> Result<Row> {
        let model = running.zoo.find(device.model)?;
        if status.summary != Summary::Installed {
            return Ok(Row::without_inference(device, &model, &status));
        }
        let test = model.test()?.context("the model has no test set")?;
        let count = self.samples.unwrap_or(usize::MAX).min(test.x.len());
        say.line(device.endpoint, &format!("runs {count} held-out samples"));
        let mut session = Session::open(&running.server, device.endpoint).await?;
        let mut answers: Vec<Answer> = Vec::with_capacity(count);
        for sample in test.x.iter().take(count) {
            answers.push(session.run(sample).await?);
        }
        let mut test = test;
        test.x.data.truncate(count * test.x.size());
        test.y.truncate(count);
        let task = model.card.task;
        let on_device = scores(task, &answers);
        let float = {
            let (model, x) = (model.clone(), test.x.clone());
            let (name, onnx) = (model.card.name.clone(), model.onnx.clone());
            let run = move || (compiler.float_scores)(&name, &onnx, task, &x);
            tokio::task::spawn_blocking(run).await??
        };
        let metrics = Metrics {
            float: metric::evaluate(task, &float, &test.y),
            device: metric::evaluate(task, &on_device, &test.y),
            agreement: metric::agreement(task, &on_device, &float),
        };
        Ok(Row::new(device, &model, &status, &answers, metrics))
    }
}

/// What the metric is computed from: classes, errors of reconstruction, or values.
fn scores(task: Task, answers: &[Answer]) -> Vec<f64> {
    let score = |answer: &Answer| match task {
        Task::Classify => answer.class.map_or(-1.0, |class| class as f64),
        Task::Reconstruct => answer.reconstruction_error.unwrap_or(0.0),
        Task::Regress => answer.output.first().map_or(0.0, |value| f64::from(*value)),
    };
    answers.iter().map(score).collect()
}

/// Waits until every device has what it shall have, or has failed.
async fn settle(running: &Running, fleet: &mut Fleet) -> Result<Vec<Status>> {
    let started = Instant::now();
    loop {
        let mut statuses = Vec::new();
        for device in Fleet::DEVICES {
            let reply = running.server.ask(device.endpoint, Ask::Status).await?;
            if let Reply::Status(Some(status)) = reply {
                statuses.push(*status);
            }
        }
        let settled = |status: &Status| {
            matches!(
                status.summary,
                Summary::Installed | Summary::Refused | Summary::Failed | Summary::Unsupported
            )
        };
        if statuses.len() == Fleet::DEVICES.len() && statuses.iter().all(settled) {
            return Ok(statuses);
        }
        fleet.check()?;
        if started.elapsed() > PATIENCE {
            let late: Vec<String> = Fleet::DEVICES
                .iter()
                .zip(&statuses)
                .filter(|(_, status)| !settled(status))
                .map(|(device, status)| format!("{}: {}", device.endpoint, status.detail))
                .collect();
            bail!(
                "not done after {} s: {}",
                PATIENCE.as_secs(),
                late.join("; ")
            );
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn join_all<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut waiting: Vec<_> = futures.map(Box::pin).collect();
    let mut outputs: Vec<Option<F::Output>> = waiting.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        let mut ready = true;
        for (future, output) in waiting.iter_mut().zip(&mut outputs) {
            if output.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(value) => *output = Some(value),
                    std::task::Poll::Pending => ready = false,
                }
            }
        }
        if ready {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    outputs.into_iter().flatten().collect()
}

fn fresh_folder() -> Result<PathBuf> {
    let folder = tempfile::Builder::new().prefix("tinsmith-demo-").tempdir();
    Ok(folder.context("cannot create a temporary folder")?.keep())
}
