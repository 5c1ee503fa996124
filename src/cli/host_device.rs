//! `tinsmith host-device`
#[derive(clap::Args)]
pub(super) struct HostDevice {}
impl HostDevice {
    pub(super) fn run(self) -> anyhow::Result<()> {
        Ok(())
    }
}
