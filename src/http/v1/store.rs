//! `/api/v1/store`.

use std::future::poll_fn;
use std::io::{self, BufWriter, Write};

use axum::body::Body;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures_channel::mpsc::{Sender, channel};
use futures_executor::block_on;
use tinsmith_store::archive::{self, Records};

use crate::{ApiError, App};

/// Pieces of a backup that wait for a slow client.
const PIECES: usize = 4;
/// Bytes of a piece.
const PIECE: usize = 64 * 1024;

/// Everything that the server keeps, as of one moment, as one stream; see docs/store.md.
pub(crate) async fn backup(State(app): State<App>) -> Result<Response, ApiError> {
    let records = Records::new(app.files.folder()).map_err(|e| ApiError::storage(&e))?;
    let exported = app.server.store().export(records).await;
    let exported = exported.map_err(|e| ApiError::storage(&e))?;
    let (sender, pieces) = channel::<io::Result<Vec<u8>>>(PIECES);
    let mut end = sender.clone();
    tokio::task::spawn_blocking(move || {
        let out = BufWriter::with_capacity(PIECE, Pieces(sender));
        match archive::write(exported, &app.files, out) {
            Ok(summary) if summary.damaged > 0 => {
                tracing::warn!(
                    files = summary.damaged,
                    "damaged files are not in the backup"
                );
            }
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, "a backup was not finished");
                // The stream breaks off, so that nobody takes it for whole.
                let _ = end.try_send(Err(error));
            }
        }
    });
    let kind = [(CONTENT_TYPE, "application/octet-stream")];
    Ok((kind, Body::from_stream(pieces)).into_response())
}

/// A writer whose end is the body of an answer.
struct Pieces(Sender<io::Result<Vec<u8>>>);

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        block_on(poll_fn(|context| self.0.poll_ready(context))).map_err(gone)?;
        self.0.start_send(Ok(bytes.to_vec())).map_err(gone)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
