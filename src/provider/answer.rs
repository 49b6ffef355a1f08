//! An HTTP answer, read in full, and what may be believed of it.

use std::time::Duration;

use reqwest::StatusCode;
use serde::de::DeserializeOwned;
use tokenkeeper_protocol::UnixSeconds;
use zeroize::Zeroizing;

use super::words::harmless;
use super::{Fault, Place};

/// The longest body that is read. Real ones are a few kilobytes; the limit keeps a broken server from filling the memory.
pub(super) const BODY_LIMIT: usize = 256 * 1024;

/// An answer.
#[derive(Debug)]
pub(super) struct HttpAnswer {
    /// Who gave it.
    pub(super) place: Place,
    /// Its status.
    pub(super) status: StatusCode,
    /// `Content-Type`.
    pub(super) content_type: Option<String>,
    /// `Retry-After`.
    pub(super) retry_after: Option<Duration>,
    /// `Date`: what time it is there.
    pub(super) date: Option<UnixSeconds>,
    /// What the provider's own log calls it, and the header that told.
    pub(super) correlation: Option<String>,
    /// Its body: tokens may be in it. Empty if the status says no and the body could not be read.
    pub(super) body: Zeroizing<Vec<u8>>,
}

impl HttpAnswer {
    /// The JSON in it. The content type is not asked first: providers that send JSON as `text/plain` work all the same.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        // Some servers put a byte order mark before it, or describe errors in another character set.
        let text = String::from_utf8_lossy(&self.body);
        serde_json::from_str(text.trim_start_matches('\u{feff}')).map_err(|_| self.no_json())
    }

    /// The same, of an answer whose status must be 200.
    pub(super) fn ok_json<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        if self.status.is_success() { self.json() } else { Err(self.bad_status()) }
    }

    /// What is wrong with an answer that is no success and says nothing else.
    pub(super) fn bad_status(&self) -> Fault {
        let (place, status) = (self.place, self.status.as_u16());
        match status {
            300..=399 => Fault::Redirect { place, status },
            404 | 410 => Fault::NotThere { place, status },
            429 => Fault::Busy { place, status, retry_after: self.retry_after },
            503 if self.retry_after.is_some() => Fault::Busy { place, status, retry_after: self.retry_after },
            _ => Fault::Status { place, status },
        }
    }

    /// Whether it says how long to wait until the same request may succeed.
    pub(super) fn is_busy(&self) -> bool {
        matches!(self.status.as_u16(), 429 | 503) && self.retry_after.is_some()
    }

    /// What is wrong with a page for people where a program asked.
    pub(super) fn page(&self) -> Option<Fault> {
        let content_type = self.content_type.as_ref().filter(|it| it.to_ascii_lowercase().contains("html"))?;
        Some(Fault::ContentType { place: self.place, content_type: harmless(content_type, &[]) })
    }

    fn no_json(&self) -> Fault {
        match &self.content_type {
            _ if self.body.is_empty() => Fault::Empty { place: self.place },
            Some(content_type) if !content_type.contains("json") => {
                Fault::ContentType { place: self.place, content_type: harmless(content_type, &[]) }
            }
            _ => Fault::NotJson { place: self.place },
        }
    }
}
