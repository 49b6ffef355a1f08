//! An HTTP answer, read in full, and what may be believed of it.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap};
use serde::de::DeserializeOwned;
use tokenkeeper_protocol::UnixSeconds;
use zeroize::Zeroizing;

use super::secrets::Secrets;
use super::{Fault, Place, retry_after};

/// The longest body that is read. Real ones are a few kilobytes; the limit keeps a broken server from filling the memory.
pub(super) const BODY_LIMIT: usize = 256 * 1024;

/// Of each half of a `Content-Type` that is shown.
const TYPE_LIMIT: usize = 64;

/// Headers that name an answer, those of the provider itself before those of what stands in front of it.
const CORRELATION: [&str; 9] = [
    "x-ms-request-id",
    "x-okta-request-id",
    "x-correlation-id",
    "x-request-id",
    "request-id",
    "x-amzn-requestid",
    "traceparent",
    "x-amz-cf-id",
    "cf-ray",
];

/// An answer.
#[derive(Debug)]
pub(super) struct HttpAnswer {
    /// Who gave it.
    pub(super) place: Place,
    /// Its status.
    pub(super) status: StatusCode,
    /// `Retry-After`.
    pub(super) retry_after: Option<Duration>,
    /// `Date`: what time it is there.
    pub(super) date: Option<UnixSeconds>,
    /// Its body: tokens may be in it. Empty if it could not be read.
    pub(super) body: Zeroizing<Vec<u8>>,
    /// Why the body of an answer that says no could not be read.
    pub(super) unread: Option<Fault>,
    /// What must not be seen of what it says.
    pub(super) secrets: Secrets,
    /// `Content-Type`, as it came.
    content_type: Option<String>,
    /// What the provider's own log calls it, and the header that told, as it came.
    correlation: Option<String>,
}

impl HttpAnswer {
    /// An answer of which nothing but the head is known, to a request that went out at `now` with `secrets`.
    pub(super) fn begun(
        place: Place,
        status: StatusCode,
        headers: &HeaderMap,
        secrets: Secrets,
        now: UnixSeconds,
    ) -> Self {
        let text = |name: &str| headers.get(name)?.to_str().ok().map(str::to_owned);
        let named = |name: &&str| Some(format!("{name} {}", text(name).filter(|id| !id.is_empty())?));
        Self {
            place,
            status,
            retry_after: retry_after::read(status, headers, now),
            date: retry_after::date(headers, &DATE),
            body: Zeroizing::default(),
            unread: None,
            secrets,
            content_type: text(CONTENT_TYPE.as_str()),
            correlation: CORRELATION.iter().find_map(named),
        }
    }

    /// What the provider's own log calls it, and the header that told.
    pub(super) fn correlation(&self) -> Option<String> {
        self.correlation.as_deref().map(|it| self.secrets.show(it))
    }

    /// Whether it says that it is one of these media types.
    pub(super) fn is_one_of(&self, media_types: &[&str]) -> bool {
        let said = self.content_type.as_deref().map_or("", essence);
        media_types.iter().any(|it| said.eq_ignore_ascii_case(it))
    }

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

    /// What is wrong with an answer that is no success and says nothing else, or nothing that could be read.
    pub(super) fn bad_status(&self) -> Fault {
        let (place, status) = (self.place, self.status.as_u16());
        match status {
            300..=399 => Fault::Redirect { place, status },
            404 | 410 => Fault::NotThere { place, status },
            429 => Fault::Busy { place, status, retry_after: self.retry_after },
            503 if self.retry_after.is_some() => Fault::Busy { place, status, retry_after: self.retry_after },
            _ => match &self.unread {
                Some(why) => Fault::Unread { place, status, why: Box::new(why.clone()) },
                None => Fault::Status { place, status },
            },
        }
    }

    /// Whether it says how long to wait until the same request may succeed.
    pub(super) fn is_busy(&self) -> bool {
        matches!(self.status.as_u16(), 429 | 503) && self.retry_after.is_some()
    }

    /// What is wrong with a page for people where a program asked.
    pub(super) fn page(&self) -> Option<Fault> {
        let is_page = self.content_type.as_ref().is_some_and(|it| it.to_ascii_lowercase().contains("html"));
        is_page.then(|| self.wrong_type())
    }

    fn no_json(&self) -> Fault {
        match &self.content_type {
            _ if self.body.is_empty() => Fault::Empty { place: self.place },
            Some(content_type) if !content_type.contains("json") => self.wrong_type(),
            _ => Fault::NotJson { place: self.place },
        }
    }

    fn wrong_type(&self) -> Fault {
        let said = self.content_type.as_deref().map_or("", essence);
        let is_token = |half: &str| (1..=TYPE_LIMIT).contains(&half.len()) && half.bytes().all(is_token_character);
        let is_type = said.split_once('/').is_some_and(|(kind, of)| is_token(kind) && is_token(of));
        let content_type = if is_type { self.secrets.show(said) } else { "another content type".to_owned() };
        Fault::ContentType { place: self.place, content_type }
    }
}

/// A media type without its parameters.
fn essence(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

/// RFC 9110 section 5.6.2.
fn is_token_character(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
