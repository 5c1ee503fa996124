//! The devices of the demo, each a process.

use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use lwm2m_objects::hex;
use tinsmith_security::{Entry, Origin, Purpose};
use tinsmith_server::{ServerHandle, random};
use zeroize::Zeroizing;

/// A device of the demo.
pub(super) struct Device {
    pub(super) endpoint: &'static str,
    pub(super) target: &'static str,
    pub(super) model: &'static str,
    pub(super) about: &'static str,
    /// False for the one that is too small on purpose.
    pub(super) fits: bool,
}

/// The processes; they end with this value.
pub(super) struct Fleet {
    children: Vec<(&'static str, Child, std::path::PathBuf)>,
}

impl Fleet {
    pub(super) const DEVICES: &'static [Device] = &[
        device(
            "bracelet-1",
            "nrf52840",
            "motion",
            "nRF52840 with 256 KB of RAM",
        ),
        device(
            "bracelet-2",
            "nrf52840",
            "motion",
            "second nRF52840 like it",
        ),
        device(
            "pump-1",
            "stm32f411",
            "maintenance",
            "STM32F411 with 128 KB of RAM",
        ),
        device(
            "scanner-1",
            "nrf52833",
            "fashion",
            "nRF52833 with 128 KB of RAM",
        ),
        device(
            "scanner-2",
            "stm32f446",
            "fashion-resnet",
            "STM32F446 with 128 KB of RAM",
        ),
        Device {
            endpoint: "tag-1",
            target: "stm32l053",
            model: "fashion-resnet",
            about: "STM32L053 with 8 KB of RAM",
            fits: false,
        },
    ];

    /// Starts them all; each knows its name, the bootstrap server's address, and a key for it, as
    /// if it came from a factory.
    pub(super) async fn start(
        folder: &Path,
        bootstrap: SocketAddr,
        server: &ServerHandle,
    ) -> Result<Self> {
        let exe = std::env::current_exe().context("cannot find this program's own file")?;
        let keys = server.keys().context("no keys of devices")?;
        let mut fleet = Self {
            children: Vec::new(),
        };
        for device in Self::DEVICES {
            let log = folder.join(format!("{}.log", device.endpoint));
            let output =
                File::create(&log).with_context(|| format!("cannot create {}", log.display()))?;
            let key = Zeroizing::new(random()?.to_vec());
            let digits = Zeroizing::new(hex::encode(&key));
            let entry = Entry {
                identity: device.endpoint.to_owned(),
                endpoints: device.endpoint.to_owned(),
                purpose: Purpose::Bootstrap,
                origin: Origin::Given,
                made: server.now().wall,
                key,
            };
            keys.add(entry).await?;
            let child = Command::new(&exe)
                .arg("host-device")
                .args(["--endpoint", device.endpoint])
                .args(["--bootstrap", &format!("coaps://{bootstrap}")])
                .args(["--identity", device.endpoint])
                .env("TINSMITH_KEY", &*digits)
                .args(["--target", device.target])
                .arg("--flash")
                .arg(folder.join(format!("{}.flash", device.endpoint)))
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(output)
                .spawn()
                .with_context(|| format!("cannot start {}", device.endpoint))?;
            fleet.children.push((device.endpoint, child, log));
        }
        Ok(fleet)
    }

    /// An error if one of them has ended.
    pub(super) fn check(&mut self) -> Result<()> {
        for (endpoint, child, log) in &mut self.children {
            if let Some(status) = child.try_wait()? {
                let log = std::fs::read_to_string(log).unwrap_or_default();
                bail!("the device {endpoint} ended ({status}): {}", log.trim_end());
            }
        }
        Ok(())
    }

    /// Ends them all.
    pub(super) fn stop(&mut self) {
        for (_, child, _) in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
        self.children.clear();
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.stop();
    }
}

const fn device(
    endpoint: &'static str,
    target: &'static str,
    model: &'static str,
    about: &'static str,
) -> Device {
    Device {
        endpoint,
        target,
        model,
        about,
        fits: true,
    }
}
