//! The loop around the client: datagrams, time and flash in and out.

use embassy_futures::select::{Either, select};
use embassy_time::{Instant, Timer};
use tinsmith_client::{
    Client, ConfigError, Event, FlashError, FlashOp, Input, Now, Object, Output, Platform,
};

use crate::network::{DATAGRAM, Network};

/// What a board does beside the network. Its monotonic clock is embassy's.
#[allow(async_fn_in_trait)]
pub trait Board: Platform {
    /// Carries out an operation on the flash.
    ///
    /// # Errors
    /// It did not go well.
    async fn flash(&mut self, op: FlashOp<'_>) -> Result<(), FlashError>;

    /// Resets the part; what has to be said before is said.
    fn reset(&mut self) -> !;

    /// Something that a log would show.
    fn event(&mut self, event: &Event);

    /// Seconds since 1970, 0 if the board does not know.
    fn wall(&self) -> i64 {
        0
    }
}

/// What a firmware adds to the client.
pub trait Application {
    /// Its objects.
    fn objects(&self) -> &'static [&'static dyn Object];

    /// What the client has to be told, at this time in milliseconds.
    fn poll(&mut self, millis: u64) -> Option<Input<'static>>;

    /// When it is to be asked again, milliseconds.
    fn next_deadline(&self) -> Option<u64>;
}

/// Nothing.
pub struct NoApplication;

impl NoApplication {
    /// As an application is made.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl Default for NoApplication {
    fn default() -> Self {
        Self::new()
    }
}

impl Application for NoApplication {
    fn objects(&self) -> &'static [&'static dyn Object] {
        &[]
    }

    fn poll(&mut self, _: u64) -> Option<Input<'static>> {
        None
    }

    fn next_deadline(&self) -> Option<u64> {
        None
    }
}

fn now(board: &impl Board) -> Now {
    Now {
        mono: Instant::now().as_millis(),
        wall: board.wall(),
    }
}

/// Runs the client for as long as there is power.
///
/// # Errors
/// The client does not take what the board gives it; nothing was done.
pub async fn run(
    client: &mut Client<'_>,
    network: &mut impl Network,
    board: &mut impl Board,
    application: &mut impl Application,
) -> Result<(), ConfigError> {
    client.start(now(board), board)?;
    let mut buffer = [0; DATAGRAM];
    loop {
        if let Some(input) = application.poll(Instant::now().as_millis()) {
            client.handle(now(board), input, board);
        }
        drain(client, network, board, &mut buffer).await;
        let deadline = client.next_deadline().into_iter();
        let deadline = deadline.chain(application.next_deadline()).min();
        let wake = async {
            match deadline {
                Some(millis) => Timer::at(Instant::from_millis(millis)).await,
                None => core::future::pending().await,
            }
        };
        match select(network.receive(&mut buffer), wake).await {
            Either::First(Some((len, from))) => {
                client.receive(now(board), from, &mut buffer[..len], board);
            }
            Either::First(None) => {}
            Either::Second(()) => client.handle(now(board), Input::Timer, board),
        }
    }
}

/// Carries out what the client wants until it wants nothing more.
async fn drain(
    client: &mut Client<'_>,
    network: &mut impl Network,
    board: &mut impl Board,
    buffer: &mut [u8; DATAGRAM],
) {
    while let Some(output) = client.poll(now(board), buffer, board) {
        match output {
            Output::Transmit { to, len } => {
                network.send(&buffer[..len], to).await;
            }
            Output::Flash(op) => {
                let done = board.flash(op).await;
                client.handle(now(board), Input::FlashDone(done), board);
            }
            Output::Reboot => {
                // The answer to what asked for it is still on its way.
                network.flush().await;
                board.reset()
            }
            Output::Event(event) => board.event(&event),
        }
    }
}
