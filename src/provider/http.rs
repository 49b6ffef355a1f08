//! The HTTP client: one request, one answer of bounded size, or a fault that says whether the request can have arrived.
//!
//! Nothing here repeats a request: retries are off, and no connection is kept, so that none can turn out dead when it is used
//! again. Redirects, decompression and the proxy of the environment are off; TLS is rustls on ring with the system's authorities.

use std::error::Error;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Certificate, Client, Method, Proxy, RequestBuilder, Response, redirect, retry};
use rustls::crypto::ring;
use tokenkeeper_protocol::UnixSeconds;
use zeroize::Zeroizing;

use super::answer::{BODY_LIMIT, HttpAnswer};
use super::secrets::Secrets;
use super::url::SafeUrl;
use super::{Fault, Gate, Handshake, Place, SetupError, handshake};
use crate::clock::{Told, Witness};
use crate::config::settings::ProviderSettings;

/// What is asked for unless told.
const JSON: &str = "application/json";

/// What bodies are compressed by (RFC 9110 section 8.4.1, RFC 7932, RFC 8878).
const COMPRESSIONS: [&str; 7] = ["gzip", "x-gzip", "deflate", "compress", "x-compress", "br", "zstd"];

const USER_AGENT: &str = concat!("tokenkeeper/", env!("CARGO_PKG_VERSION"));

/// The HTTP client of one provider.
#[derive(Debug)]
pub(super) struct Http {
    client: Client,
    timeout: Duration,
    /// Counts what leaves.
    gate: Arc<Gate>,
    /// What time it was there when it last said so over TLS.
    time: Mutex<Option<Witness>>,
}

/// A request that is made by the configuration.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) method: Method,
    pub(super) url: SafeUrl,
    pub(super) headers: HeaderMap,
    pub(super) body: Option<Bytes>,
    /// What is secret in it.
    pub(super) secrets: Secrets,
}

/// A request without an answer.
#[derive(Debug)]
pub(super) enum Unanswered {
    /// It certainly did not leave this machine.
    NotSent(Fault),
    /// It may have arrived and been acted upon.
    Lost(Fault),
}

impl From<Unanswered> for Fault {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::NotSent(fault) | Unanswered::Lost(fault) => fault,
        }
    }
}

impl Http {
    /// A client as `settings` want it. Reads the certificate authorities; no network.
    pub(super) fn new(settings: &ProviderSettings, gate: Arc<Gate>) -> Result<Self, SetupError> {
        // The first installation in the process stays; everybody in it installs ring, so it does not matter whose was first.
        let _ = ring::default_provider().install_default();
        let loopback = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), SocketAddr::from((Ipv6Addr::LOCALHOST, 0))];
        let mut builder = Client::builder()
            .user_agent(USER_AGENT)
            .no_proxy()
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .referer(false)
            .pool_max_idle_per_host(0)
            .timeout(settings.timeout)
            // Half: a slow connection is then known not to have carried the request, before the whole time is up.
            .connect_timeout(settings.timeout / 2)
            .resolve_to_addrs("localhost", &loopback)
            .tls_certs_merge(authorities(settings)?);
        if let Some(proxy) = &settings.proxy {
            // Not for plain http: that is for this machine, and must not leave it in the clear.
            builder = builder.proxy(Proxy::https(proxy).map_err(|error| SetupError::Proxy(error.without_url()))?);
        }
        let client = builder.build().map_err(|error| SetupError::Client(error.without_url()))?;
        Ok(Self { client, timeout: settings.timeout, gate, time: Mutex::default() })
    }

    /// Gets `url`; `secrets` are what is sent, and what else may be quoted. Repeating it does no harm, so a fault need not say whether it arrived.
    pub(super) async fn get(
        &self,
        place: Place,
        url: &SafeUrl,
        authorization: Option<&HeaderValue>,
        secrets: &Secrets,
        now: UnixSeconds,
    ) -> Result<HttpAnswer, Fault> {
        let request = self.client.get(url.url().clone());
        Ok(self.send(place, url, authorize(request, authorization), secrets, now).await?)
    }

    /// Posts a form with `secrets` in it to `url`, once.
    pub(super) async fn post(
        &self,
        place: Place,
        url: &SafeUrl,
        authorization: Option<&HeaderValue>,
        form: Bytes,
        secrets: &Secrets,
        now: UnixSeconds,
    ) -> Result<HttpAnswer, Unanswered> {
        let request = self.client.post(url.url().clone());
        let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form);
        self.send(place, url, authorize(request, authorization), secrets, now).await
    }

    /// Sends `outgoing`, once.
    pub(super) async fn request(
        &self,
        place: Place,
        outgoing: Outgoing,
        now: UnixSeconds,
    ) -> Result<HttpAnswer, Unanswered> {
        let Outgoing { method, url, mut headers, body, secrets } = outgoing;
        let accepted = headers.remove(ACCEPT);
        let mut request = self.client.request(method, url.url().clone()).headers(headers);
        if let Some(body) = body {
            request = request.body(body);
        }
        let accepted = accepted.unwrap_or(HeaderValue::from_static(JSON));
        self.send_accepting(place, &url, request, accepted, &secrets, now).await
    }

    /// What time it was there when it last said so over TLS: who is in between could make up anything else.
    pub(super) fn time_there(&self) -> Option<Witness> {
        *self.time.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn send(
        &self,
        place: Place,
        url: &SafeUrl,
        request: RequestBuilder,
        secrets: &Secrets,
        now: UnixSeconds,
    ) -> Result<HttpAnswer, Unanswered> {
        self.send_accepting(place, url, request, HeaderValue::from_static(JSON), secrets, now).await
    }

    async fn send_accepting(
        &self,
        place: Place,
        url: &SafeUrl,
        request: RequestBuilder,
        accepted: HeaderValue,
        secrets: &Secrets,
        now: UnixSeconds,
    ) -> Result<HttpAnswer, Unanswered> {
        let request = request.header(ACCEPT, accepted).header(ACCEPT_ENCODING, "identity");
        self.gate.leaves();
        let response = request.send().await.map_err(|error| {
            if handshake::is_of_a_certificate_that_is_good_at(now, chain(&error)) {
                self.witness(now, Told::Certificate);
            }
            self.unanswered(url, secrets, &error)
        })?;
        let mut answer = HttpAnswer::begun(place, response.status(), response.headers(), secrets.clone(), now);
        if let Some(date) = answer.date.filter(|_| url.url().scheme() == "https") {
            self.witness(now, Told::Date(date));
        }
        match self.read(place, url, secrets, response).await {
            Ok(body) => answer.body = body,
            // The status may say what is to be done.
            Err(fault) if !answer.status.is_success() => answer.unread = Some(fault),
            Err(fault) => return Err(Unanswered::Lost(fault)),
        }
        Ok(answer)
    }

    /// The body, of which no more than the limit is ever held.
    async fn read(
        &self,
        place: Place,
        url: &SafeUrl,
        secrets: &Secrets,
        mut response: Response,
    ) -> Result<Zeroizing<Vec<u8>>, Fault> {
        if let Some(encoding) = response.headers().get(CONTENT_ENCODING).filter(|encoding| is_compression(encoding)) {
            let encoding = secrets.show(&String::from_utf8_lossy(encoding.as_bytes()));
            return Err(Fault::Compressed { place, encoding });
        }
        let too_large = Fault::BodyTooLarge { place, limit: BODY_LIMIT };
        let announced = response.content_length().map_or(Ok(16 * 1024), usize::try_from);
        let Some(announced) = announced.ok().filter(|length| *length <= BODY_LIMIT) else { return Err(too_large) };
        let mut body = Zeroizing::new(Vec::with_capacity(announced));
        while let Some(chunk) = response.chunk().await.map_err(|error| self.broken(url, secrets, &error))? {
            if body.len() + chunk.len() > BODY_LIMIT {
                return Err(too_large);
            }
            extend(&mut body, &chunk);
        }
        Ok(body)
    }

    fn witness(&self, asked_at: UnixSeconds, told: Told) {
        *self.time.lock().unwrap_or_else(PoisonError::into_inner) = Some(Witness { asked_at, told });
    }

    fn unanswered(&self, url: &SafeUrl, secrets: &Secrets, error: &reqwest::Error) -> Unanswered {
        let host = url.host();
        let cause = || innermost(error, secrets);
        let handshake = || Handshake::of(chain(error), url.url().scheme() == "https", secrets);
        if error.is_dns() {
            Unanswered::NotSent(Fault::Dns { host, cause: cause() })
        } else if let Some(cause) = error.is_connect().then(handshake).flatten() {
            Unanswered::NotSent(Fault::Tls { host, cause })
        } else if error.is_connect() && error.is_timeout() {
            let cause = format!("nothing answers within {} s", (self.timeout / 2).as_secs_f32());
            Unanswered::NotSent(Fault::Connect { host, cause })
        } else if error.is_connect() || error.is_builder() {
            Unanswered::NotSent(Fault::Connect { host, cause: cause() })
        } else {
            Unanswered::Lost(self.broken(url, secrets, error))
        }
    }

    fn broken(&self, url: &SafeUrl, secrets: &Secrets, error: &reqwest::Error) -> Fault {
        if error.is_timeout() {
            Fault::Timeout { host: url.host(), seconds: self.timeout.as_secs() }
        } else {
            Fault::Broken { host: url.host(), cause: innermost(error, secrets) }
        }
    }
}

/// Whatever else stands there, such as `utf-8`, is a slip of a server whose body is as it is.
fn is_compression(encoding: &HeaderValue) -> bool {
    let mut names = encoding.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    names.any(|name| COMPRESSIONS.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes())))
}

fn authorize(request: RequestBuilder, authorization: Option<&HeaderValue>) -> RequestBuilder {
    match authorization {
        Some(value) => request.header(AUTHORIZATION, value.clone()),
        None => request,
    }
}

/// Appends, moving to a larger buffer by hand where one is needed, so that the smaller one is wiped.
fn extend(body: &mut Zeroizing<Vec<u8>>, chunk: &[u8]) {
    let length = body.len() + chunk.len();
    if length > body.capacity() {
        let mut larger = Zeroizing::new(Vec::with_capacity(length.next_power_of_two()));
        larger.extend_from_slice(body);
        *body = larger;
    }
    body.extend_from_slice(chunk);
}

fn authorities(settings: &ProviderSettings) -> Result<Vec<Certificate>, SetupError> {
    let Some(path) = &settings.ca_file else { return Ok(Vec::new()) };
    let pem = fs::read(path).map_err(|source| SetupError::CaUnreadable { path: path.clone(), source })?;
    let found = Certificate::from_pem_bundle(&pem).ok().filter(|found| !found.is_empty());
    found.ok_or_else(|| SetupError::CaMalformed { path: path.clone() })
}

/// The words of the error that began it: those above only say that something failed.
fn innermost(error: &reqwest::Error, secrets: &Secrets) -> String {
    let last = chain(error).last();
    secrets.show(&last.map_or_else(String::new, ToString::to_string))
}

/// What is behind `error`, and behind that. The `source` of an I/O error leaves out the very error that it wraps.
fn chain(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(error.source(), |error| {
        match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => (*error).source(),
        }
    })
}
