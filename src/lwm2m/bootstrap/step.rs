//! The steps of a bootstrap.

/// What the server does next to the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BootstrapStep {
    /// Which instances are taken; a device that can't tell is taken to have but its account.
    Discover,
    /// Which instances of OSCORE are taken.
    Contexts,
    Delete,
    Oscore,
    Security,
    Server,
    /// Whether it has a Compute Platform, which takes trust anchors.
    Platform,
    TrustAnchors,
    Finish,
}

/// The transitions on success.
pub(super) const STEPS: [(BootstrapStep, Option<BootstrapStep>); 9] = [
    (BootstrapStep::Discover, Some(BootstrapStep::Contexts)),
    (BootstrapStep::Contexts, Some(BootstrapStep::Delete)),
    (BootstrapStep::Delete, Some(BootstrapStep::Oscore)),
    (BootstrapStep::Oscore, Some(BootstrapStep::Security)),
    (BootstrapStep::Security, Some(BootstrapStep::Server)),
    (BootstrapStep::Server, Some(BootstrapStep::Platform)),
    (BootstrapStep::Platform, Some(BootstrapStep::TrustAnchors)),
    (BootstrapStep::TrustAnchors, Some(BootstrapStep::Finish)),
    (BootstrapStep::Finish, None),
];

impl BootstrapStep {
    pub(super) fn next(self) -> Option<BootstrapStep> {
        STEPS
            .iter()
            .find(|(step, _)| *step == self)
            .and_then(|(_, next)| *next)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            BootstrapStep::Discover => "Discover",
            BootstrapStep::Contexts => "Discover of OSCORE",
            BootstrapStep::Delete => "Delete",
            BootstrapStep::Oscore => "Write of OSCORE",
            BootstrapStep::Security => "Write of Security",
            BootstrapStep::Server => "Write of Server",
            BootstrapStep::Platform => "Discover of Compute Platform",
            BootstrapStep::TrustAnchors => "Write of the trust anchors",
            BootstrapStep::Finish => "Finish",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_walks_through_all_steps() {
        let mut step = Some(BootstrapStep::Discover);
        let mut walked = Vec::new();
        while let Some(s) = step {
            walked.push(s);
            step = s.next();
        }
        assert_eq!(walked.len(), STEPS.len());
        assert_eq!(walked.last(), Some(&BootstrapStep::Finish));
    }
}
