//! The body of a request: JSON, short, there in time, and wiped when it was read.

use std::time::Duration;

use http_body_util::BodyExt;
use hyper::StatusCode;
use hyper::body::{Body, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderMap};
use tokenkeeper_protocol::{Code, Problem};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::problem::Failure;

/// The greatest length of a body, as of a native frame.
const LONGEST: usize = tokenkeeper_protocol::frame::MAX_PAYLOAD;
/// A peer that has begun a request must end it within this time.
const PATIENCE: Duration = Duration::from_secs(30);

/// Reads the whole of it. Nothing is read of a body that cannot be JSON or is too long.
pub(super) async fn read(
    headers: &HeaderMap,
    body: Incoming,
    stop: &CancellationToken,
) -> Result<Zeroizing<Vec<u8>>, Failure> {
    if body.is_end_stream() {
        return Ok(Zeroizing::default());
    }
    if !is_json(headers) {
        let words = "a body must be JSON: send it with the header content-type: application/json";
        return Err(Failure::with(StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::BadRequest, words).closing());
    }
    if body.size_hint().lower() > LONGEST as u64 {
        return Err(too_long());
    }
    tokio::select! {
        biased;
        read = timeout(PATIENCE, collect(body)) => read.unwrap_or_else(|_| Err(too_slow())),
        () = stop.cancelled() => Err(stopping()),
    }
}

async fn collect(mut body: Incoming) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let announced = body.size_hint().exact().and_then(|bytes| usize::try_from(bytes).ok());
    // Room for all of it at once: a buffer that grows leaves copies of what is in it.
    let mut whole = Zeroizing::new(Vec::with_capacity(announced.unwrap_or(LONGEST)));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Failure::bad("the body ended early").closing())?;
        let Some(piece) = frame.data_ref() else { continue };
        if whole.len() + piece.len() > LONGEST {
            return Err(too_long());
        }
        whole.extend_from_slice(piece);
    }
    Ok(whole)
}

fn is_json(headers: &HeaderMap) -> bool {
    let told = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = told.split(';').next().unwrap_or_default().trim();
    media_type.eq_ignore_ascii_case("application/json")
}

fn too_long() -> Failure {
    let words = format!("the body is longer than {LONGEST} bytes");
    Failure::with(StatusCode::PAYLOAD_TOO_LARGE, Code::BadRequest, words).closing()
}

fn too_slow() -> Failure {
    let words = format!("the body did not come within {} s", PATIENCE.as_secs());
    Failure::with(StatusCode::REQUEST_TIMEOUT, Code::BadRequest, words).closing()
}

fn stopping() -> Failure {
    let problem = Problem::new(Code::TryLater, "the daemon is being stopped; try again when it is back");
    Failure::from(Problem { retry_after_ms: Some(1000), ..problem }).closing()
}
