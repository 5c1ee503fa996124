//! The device's loop: datagrams and timers in, datagrams and flash operations out.

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs, UdpSocket};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use tinsmith_client::{
    BootstrapError, Buffers, Client, Config as ClientConfig, ConfigError, Event,
    Factory as ClientFactory, FlashRead, Input, Memory, Now, Object, Observation, Output, Platform,
    SecureFactory, Session, TrustAnchor,
};
use tinsmith_module::kernels;

use crate::flash::FileFlash;
use crate::target::{Target, TargetError};

/// What a device is told.
#[derive(Clone, Debug)]
pub struct Config {
    /// Endpoint name.
    pub endpoint: String,
    /// Its first server: `coap://HOST:PORT` or `HOST:PORT`, `coaps://HOST:PORT` with DTLS.
    pub factory: Factory,
    /// Identity and key at its first server, if that has DTLS.
    pub psk: Option<Psk>,
    /// A target's name, the beginning of it, or the path of a target file.
    pub target: String,
    /// The file that is the device's flash; made if it is not there.
    pub flash: PathBuf,
    /// The keys whose packages it takes before a bootstrap gives others.
    pub trust_anchors: Vec<TrustAnchor>,
    /// Print a line on stderr for each event.
    pub log: bool,
}

/// The server that a device knows before any bootstrap.
#[derive(Clone, Debug)]
pub enum Factory {
    /// A bootstrap server, which gives the others.
    Bootstrap(String),
    /// A management server; there is no bootstrap.
    Server(String),
}

/// A pre-shared key.
#[derive(Clone)]
pub struct Psk {
    /// What the server knows the key by.
    pub identity: String,
    /// The key.
    pub key: Vec<u8>,
}

impl fmt::Debug for Psk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Psk({})", self.identity)
    }
}

/// What an application adds to the device.
#[derive(Clone, Copy)]
pub struct Application<'a> {
    /// Its objects.
    pub objects: &'a [&'a dyn Object],
    /// How often it is asked.
    pub period: Duration,
    /// What the client has to be told, if anything: a value has changed, a request is done.
    pub ask: &'a dyn Fn() -> Option<Input<'static>>,
}

impl Application<'_> {
    /// None.
    pub const NONE: Self = Self {
        objects: &[],
        period: Duration::MAX,
        ask: &|| None,
    };
}

/// Why the device can't run.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The target.
    Target(TargetError),
    /// The server's address.
    Server(String),
    /// `coaps` without a key.
    Key,
    /// The file of the flash.
    Flash(PathBuf, std::io::Error),
    /// The socket, or waiting for it.
    Socket(std::io::Error),
    /// The client does not take what the target gives it.
    Config(ConfigError),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Target(e) => e.fmt(f),
            Self::Server(text) => {
                write!(
                    f,
                    "{text} is no address of a server: write coap://HOST:PORT or coaps://HOST:PORT"
                )
            }
            Self::Key => f.write_str("a server with DTLS needs an identity and a key"),
            Self::Flash(path, e) => write!(f, "cannot use {} as flash: {e}", path.display()),
            Self::Socket(e) => write!(f, "the socket failed: {e}"),
            Self::Config(e) => write!(f, "the client cannot run on this target: {e:?}"),
        }
    }
}

impl std::error::Error for Error {}

/// Observations a device keeps.
const OBSERVATIONS: usize = 16;
/// The bootstrap server and two management servers.
const SESSIONS: usize = 3;
/// How long a device that was told to end waits for the answer to its De-register.
const STOP_WAIT: Duration = Duration::from_secs(2);

struct Board {
    flash: FileFlash,
    start: Instant,
}

impl FlashRead for Board {
    fn read(&self, offset: u32, len: u32) -> &[u8] {
        self.flash.read(offset, len)
    }
}

impl Platform for Board {
    fn micros(&self) -> u64 {
        self.start.elapsed().as_micros() as u64
    }

    fn random(&mut self) -> u32 {
        getrandom::u32().unwrap_or_else(|_| self.start.elapsed().subsec_nanos())
    }
}

impl Board {
    fn now(&self) -> Now {
        let wall = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |d| d.as_secs() as i64);
        Now {
            mono: self.start.elapsed().as_millis() as u64,
            wall,
        }
    }
}

/// Why the loop ended.
enum End {
    Reboot,
    Stopped,
}

/// Runs a device until SIGTERM or SIGINT; then it de-registers.
///
/// # Errors
/// The device can't be made, or its socket fails.
pub fn run(config: &Config) -> Result<(), Error> {
    run_with(config, &Application::NONE)
}

/// The same for a device with an application.
///
/// # Errors
/// The device can't be made, or its socket fails.
pub fn run_with(config: &Config, application: &Application<'_>) -> Result<(), Error> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTERM);
    signals.add(Signal::SIGINT);
    let system = |e: nix::Error| Error::Socket(e.into());
    signals.thread_block().map_err(system)?;
    let signals = SignalFd::with_flags(&signals, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
        .map_err(system)?;
    let target = Target::find(&config.target).map_err(Error::Target)?;
    let (Factory::Bootstrap(server) | Factory::Server(server)) = &config.factory;
    let server = (resolve(server)?, server.starts_with(SECURE));
    if server.1 && config.psk.is_none() {
        return Err(Error::Key);
    }
    let flash = FileFlash::open(
        &config.flash,
        target.flash_bytes,
        target.layout.write_unit as usize,
    )
    .map_err(|e| Error::Flash(config.flash.clone(), e))?;
    let mut board = Board {
        flash,
        start: Instant::now(),
    };
    loop {
        match life(config, application, &target, server, &mut board, &signals)? {
            End::Reboot => log(config, format_args!("reboot")),
            End::Stopped => return Ok(()),
        }
    }
}

const SECURE: &str = "coaps://";

fn resolve(text: &str) -> Result<SocketAddr, Error> {
    let plain = text.strip_prefix("coap://");
    let authority = plain
        .or_else(|| text.strip_prefix(SECURE))
        .unwrap_or(text)
        .trim_end_matches('/');
    let mut addresses = authority.to_socket_addrs().ok().into_iter().flatten();
    addresses
        .next()
        .ok_or_else(|| Error::Server(text.to_string()))
}

/// From one reset to the next.
fn life(
    config: &Config,
    application: &Application<'_>,
    target: &Target,
    (server, secure): (SocketAddr, bool),
    board: &mut Board,
    signals: &SignalFd,
) -> Result<End, Error> {
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
        SocketAddr::V6(_) => ([0u16; 8], 0).into(),
    };
    let socket = UdpSocket::bind(any).map_err(Error::Socket)?;
    socket.set_nonblocking(true).map_err(Error::Socket)?;
    let scheme = if secure { SECURE } else { "coap://" };
    let uri = format!("{scheme}{server}");
    let psk = config.psk.as_ref().filter(|_| secure);
    let psk = psk.map(|psk| SecureFactory {
        uri: &uri,
        identity: psk.identity.as_bytes(),
        key: &psk.key,
    });
    let arena_bytes = target.capability.platform.arena_total as usize;
    let mut arena = vec![0; arena_bytes + 32];
    let aligned = arena.as_ptr().align_offset(32);
    let mut sessions: [Session<'_>; SESSIONS] = Default::default();
    let mut observations = [Observation::EMPTY; OBSERVATIONS];
    let mut buffers = Box::new(Buffers::new());
    let platform = &target.capability.platform;
    let client_config = ClientConfig {
        endpoint: &config.endpoint,
        factory: match (&config.factory, psk) {
            (Factory::Bootstrap(_), None) => ClientFactory::Bootstrap(&uri),
            (Factory::Bootstrap(_), Some(psk)) => ClientFactory::SecureBootstrap(psk),
            (Factory::Server(_), None) => ClientFactory::Server(&uri),
            (Factory::Server(_), Some(psk)) => ClientFactory::SecureServer(psk),
        },
        manufacturer: "Tinsmith",
        model_number: &platform.platform_name,
        serial_number: &config.endpoint,
        firmware_version: env!("CARGO_PKG_VERSION"),
        capability: &target.capability,
        formats: lwm2m_objects::Codec::ALL,
        kernels: kernels::ALL,
        signatures: target.signatures(),
        trust_anchors: &config.trust_anchors,
        module_class: tinsmith_client::module_class(
            &target.capability,
            kernels::ALL,
            target.signatures(),
        ),
        layout: target.layout,
        stack_bytes: kernels::STACK_BYTES,
        instruction_sets: 0,
    };
    let memory = Memory {
        sessions: &mut sessions,
        observations: &mut observations,
        arena: &mut arena[aligned..aligned + arena_bytes],
        buffers: &mut buffers,
    };
    let mut client = Client::new(client_config, application.objects, memory);
    client.start(board.now(), board).map_err(Error::Config)?;
    let mut datagram = [0; 2048];
    let mut stop_by: Option<Instant> = None;
    let mut asked: Option<Instant> = None;
    loop {
        if asked.is_none_or(|at| at.elapsed() >= application.period) {
            asked = Some(Instant::now());
            if let Some(input) = (application.ask)() {
                client.handle(board.now(), input, board);
            }
        }
        while let Some(output) = client.poll(board.now(), &mut datagram, board) {
            match output {
                // A datagram that the system does not take is one that was lost.
                Output::Transmit { to, len } => drop(socket.send_to(&datagram[..len], to)),
                Output::Flash(op) => {
                    let result = board.flash.apply(op);
                    client.handle(board.now(), Input::FlashDone(result), board);
                }
                Output::Reboot => return Ok(End::Reboot),
                Output::Event(Event::Stopped) => return Ok(End::Stopped),
                Output::Event(event) => log(config, format_args!("{}", Line(event))),
            }
        }
        if stop_by.is_some_and(|at| at <= Instant::now()) {
            return Ok(End::Stopped);
        }
        let mut fds = [
            PollFd::new(socket.as_fd(), PollFlags::POLLIN),
            PollFd::new(signals.as_fd(), PollFlags::POLLIN),
        ];
        let deadline = client
            .next_deadline()
            .map(|at| at.saturating_sub(board.now().mono));
        let stop = stop_by.map(|at| at.saturating_duration_since(Instant::now()).as_millis());
        let since = asked.map_or(Duration::ZERO, |at| at.elapsed());
        let ask = application.period.saturating_sub(since);
        let others = [stop.unwrap_or(u128::MAX), ask.as_millis()];
        let others = others.map(|ms| u64::try_from(ms).unwrap_or(u64::MAX));
        let wait = deadline.into_iter().chain(others).min();
        let wait = wait.map_or(PollTimeout::NONE, |ms| {
            PollTimeout::try_from(ms.min(60_000)).unwrap_or(PollTimeout::MAX)
        });
        match poll(&mut fds, wait) {
            Ok(_) | Err(nix::Error::EINTR) => {}
            Err(e) => return Err(Error::Socket(e.into())),
        }
        if let Ok(Some(_)) = signals.read_signal() {
            log(config, format_args!("stopping"));
            stop_by = Some(Instant::now() + STOP_WAIT);
            client.handle(board.now(), Input::Stop, board);
            continue;
        }
        match socket.recv_from(&mut datagram) {
            Ok((len, from)) => client.receive(board.now(), from, &mut datagram[..len], board),
            // Nothing there, or an earlier datagram could not be delivered.
            Err(_) => client.handle(board.now(), Input::Timer, board),
        }
    }
}

fn log(config: &Config, line: fmt::Arguments<'_>) {
    if config.log {
        eprintln!("{}: {line}", config.endpoint);
    }
}

/// An event as a line for people.
struct Line(Event);

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Event::Bootstrapping => write!(f, "asking the bootstrap server"),
            Event::Bootstrapped => write!(f, "bootstrapped"),
            Event::BootstrapFailed { reason, retry_s } => {
                match reason {
                    BootstrapError::Rejected(code) => {
                        write!(f, "bootstrap refused: {}.{:02}", code >> 5, code & 31)?;
                    }
                    reason => write!(f, "bootstrap failed ({reason:?})")?,
                }
                write!(f, ", again in {retry_s} s")
            }
            Event::Registered { server } => write!(f, "registered at server {server}"),
            Event::RegistrationFailed {
                server,
                code,
                retry_s,
            } => {
                let (class, detail) = (code >> 5, code & 31);
                write!(f, "server {server} did not register us ")?;
                match code {
                    0 => write!(f, "(no answer)")?,
                    _ => write!(f, "({class}.{detail:02})")?,
                }
                write!(f, ", again in {retry_s} s")
            }
            Event::Deregistered { server } => write!(f, "de-registered at server {server}"),
            Event::Firmware { state, result } => {
                write!(f, "firmware update: {state:?}, result {result:?}")
            }
            Event::Slot {
                slot,
                state,
                result,
            } => {
                write!(f, "slot {slot}: {state:?}, result {result:?}")
            }
            Event::FlashFailed => write!(f, "a flash operation failed"),
            Event::HandshakeFailed(error) => write!(f, "no secure session: {error}"),
            other => write!(f, "{other:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        assert_eq!(resolve("coap://127.0.0.1:5783").unwrap().port(), 5783);
        assert_eq!(resolve("127.0.0.1:5783/").unwrap().port(), 5783);
        assert_eq!(resolve("coaps://127.0.0.1:5684").unwrap().port(), 5684);
        assert!(resolve("coap://127.0.0.1").is_err());
        assert!(resolve("").is_err());
    }
}
