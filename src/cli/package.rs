//! `tinsmith package`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::Subcommand;
use lwm2m_objects::hex;
use serde_json::{Value, json};
use tinsmith_digest::Digest;
use tinsmith_order::FirmwareJob;
use tinsmith_package::{Head, MAX_HEAD, Parsed, TrustAnchor};

use super::compile::capability;
use super::key::{Kind, Place, anchor};
use super::out::{self, plain};

/// Packages as devices get them: a payload in a signed SUIT envelope.
#[derive(Subcommand)]
pub(super) enum Package {
    /// Put a firmware image into a package, signed with the newest key of the store.
    Firmware(Firmware),
    /// Say what a package is for, and who signed it.
    Show(Show),
}

#[derive(clap::Args)]
pub(super) struct Firmware {
    /// The image, as the device's bootloader takes it.
    image: PathBuf,
    /// The devices it is for (a wrong name lists them all), or a file like those in
    /// device-client/boards/targets.
    #[arg(long, value_name = "NAME|FILE")]
    target: String,
    /// Version of the image.
    #[arg(long, value_name = "VERSION")]
    image_version: String,
    /// Name of the image.
    #[arg(long, value_name = "NAME", default_value = "firmware")]
    name: String,
    /// A number above those of all packages that the devices had before. [default: seconds since
    /// 1970, as in the packages that `serve` makes]
    #[arg(long, value_name = "NUMBER")]
    sequence: Option<u64>,
    /// How long a device tries the image before it goes back by itself, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    trial: u32,
    /// By which the devices verify.
    #[arg(long, value_enum, default_value_t = Kind::Ed25519)]
    algorithm: Kind,
    /// Where to write the package.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    place: Place,
}

#[derive(clap::Args)]
pub(super) struct Show {
    /// The package.
    package: PathBuf,
    /// Hold its signature against this public key, as `tinsmith key export-public` prints it.
    #[arg(long, value_name = "HEX", value_parser = anchor)]
    trust_anchor: Option<TrustAnchor>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Package {
    pub(super) fn run(self) -> Result<()> {
        match self {
            Self::Firmware(command) => command.run(),
            Self::Show(command) => command.run(),
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

impl Firmware {
    fn run(self) -> Result<()> {
        let platform = capability(&self.target)?.platform;
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let job = FirmwareJob {
            part: platform.soc_part,
            platform: platform.platform_name,
            name: self.name,
            version: self.image_version,
            abi: platform.runtime_abi_version.try_into()?,
            sequence: match self.sequence {
                Some(number) => number,
                None => since_1970.context("the clock is wrong")?.as_secs(),
            },
            trial_s: self.trial,
            algorithms: vec![tinsmith_keys::Algorithm::from(self.algorithm).number()],
        };
        let image: Arc<[u8]> = read(&self.image)?.into();
        let ring = self.place.open()?;
        let package = job.signed(image, &ring).map_err(|why| anyhow!(why))?;
        let bytes = [&package.head[..], &package.module].concat();
        std::fs::write(&self.output, &bytes)
            .with_context(|| format!("cannot write {}", self.output.display()))?;
        let path = self.output.to_string_lossy();
        out::print(&format!("wrote {} ({} B)\n", plain(&path), bytes.len()))
    }
}

impl Show {
    fn run(self) -> Result<()> {
        let bytes = read(&self.package)?;
        let parsed = Head::parse(&bytes).map_err(|error| anyhow!("it is no package: {error}"))?;
        let Parsed::Complete {
            head,
            authentication,
            payload_offset,
            payload_len,
        } = parsed
        else {
            bail!("it ends within its head, or its head has more than {MAX_HEAD} bytes");
        };
        let payload = &bytes[payload_offset..];
        ensure!(
            payload.len() == payload_len as usize,
            "its payload has {} bytes, {payload_len} are announced",
            payload.len()
        );
        ensure!(
            Digest::of(payload).0 == head.digest,
            "its payload was changed: it has another digest than its head says"
        );
        let signature = authentication.signature;
        let key = signature.map(|signature| hex::encode(&signature.key_id));
        if let Some(anchor) = self.trust_anchor {
            let verified = tinsmith_keys::verify(&authentication, &anchor);
            verified.map_err(|why| anyhow!("the key does not vouch for it: {why}"))?;
        }
        if self.json {
            return out::json(&document(
                &head,
                key.as_deref(),
                self.trust_anchor.is_some(),
            ));
        }
        let signed = match (&key, self.trust_anchor) {
            (None, _) => "by nobody".to_owned(),
            (Some(key), Some(_)) => format!("by {key}, verified"),
            (Some(key), None) => format!("by {key}, not verified (--trust-anchor)"),
        };
        let mut text = String::new();
        for (name, value) in [
            ("payload", head.kind.component().to_owned()),
            ("name", plain(head.model_name).into_owned()),
            ("version", plain(head.model_version).into_owned()),
            ("size", format!("{} B", head.size)),
            ("sha-256", hex::encode(&head.digest)),
            ("vendor", hex::encode(&head.vendor_id)),
            ("class", hex::encode(&head.class_id)),
            ("sequence", head.sequence.to_string()),
            ("abi", head.abi.to_string()),
            ("arena", format!("{} B", head.arena_bytes)),
            ("trial", format!("{} s", head.trial_s)),
            ("signed", signed),
        ] {
            text.push_str(&format!("{name:<9} {value}\n"));
        }
        out::print(&text)
    }
}

fn document(head: &Head<'_>, key: Option<&str>, verified: bool) -> Value {
    json!({
        "payload": head.kind.component(),
        "name": head.model_name,
        "version": head.model_version,
        "bytes": head.size,
        "sha256": hex::encode(&head.digest),
        "vendor": hex::encode(&head.vendor_id),
        "class": hex::encode(&head.class_id),
        "sequence": head.sequence,
        "abi": head.abi,
        "arena_bytes": head.arena_bytes,
        "trial_s": head.trial_s,
        "slot": head.slot,
        "key": key,
        "verified": verified,
    })
}
