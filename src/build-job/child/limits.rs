//! What a compiling child may not do.

use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;

/// Address space in bytes.
pub(super) const MAX_MEMORY: u64 = 1 << 30;
/// Files that may be open at once, the three pipes among them.
const MAX_FILES: u64 = 32;

/// Limits this process for good. What the system refuses is told on standard error; the parent's
/// time limit holds in any case.
pub(super) fn apply() {
    // A network without interfaces. Not every system lets a process have one.
    let _ = unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET)
        .or_else(|_| unshare(CloneFlags::CLONE_NEWNET));
    // After that: new credentials take this back.
    tell(
        "dies with its parent",
        nix::sys::prctl::set_pdeathsig(Signal::SIGKILL),
    );
    let limits = [
        (Resource::RLIMIT_AS, MAX_MEMORY),
        // The answer goes into a pipe.
        (Resource::RLIMIT_FSIZE, 0),
        (Resource::RLIMIT_CORE, 0),
        (Resource::RLIMIT_NOFILE, MAX_FILES),
    ];
    for (resource, most) in limits {
        tell("limits", setrlimit(resource, most, most));
    }
}

/// Limits the time on the processor, of all threads together.
pub(super) fn cpu(seconds: u64) {
    tell("limits", setrlimit(Resource::RLIMIT_CPU, seconds, seconds));
}

fn tell(what: &str, result: nix::Result<()>) {
    if let Err(error) = result {
        eprintln!("{what}: {error}");
    }
}
