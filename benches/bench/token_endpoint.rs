//! The provider that refreshes are measured against: a process with a token endpoint that rotates refresh tokens, and nothing behind it.
//!
//! It stands on the same HTTP stack as the daemon. It speaks in the clear or over TLS, on loopback.

use std::convert::Infallible;
use std::io::{BufRead, BufReader, Write};
use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, ensure};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpSocket;
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;

use crate::prepare::{ACCESS_TOKEN, REFRESH_TOKEN, token};

/// Makes this program the provider: `token-endpoint http|https MILLISECONDS`.
pub(crate) const ARGUMENT: &str = "token-endpoint";

/// Connections that wait to be accepted.
const BACKLOG: u32 = 4096;

/// How the provider is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    Plain,
    Tls,
}

impl Scheme {
    fn name(self) -> &'static str {
        match self {
            Self::Plain => "http",
            Self::Tls => "https",
        }
    }
}

/// A running provider, killed when dropped.
pub(crate) struct TokenEndpoint {
    /// Its issuer identifier.
    pub(crate) issuer: String,
    /// The authority that signed its certificate, as PEM.
    pub(crate) authority: Option<String>,
    process: Child,
}

impl TokenEndpoint {
    /// Starts one that takes its time for each answer.
    pub(crate) fn start(scheme: Scheme, time: Duration) -> anyhow::Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .args([ARGUMENT, scheme.name(), &time.as_millis().to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the provider")?;
        let mut output = BufReader::new(process.stdout.take().context("the provider has no output")?);
        let mut line = String::new();
        output.read_line(&mut line)?;
        ensure!(!line.is_empty(), "the provider did not come up");
        let issuer = line.trim_end().to_owned();
        let mut authority = None;
        if scheme == Scheme::Tls {
            let mut pem = String::new();
            output.read_line(&mut pem)?;
            authority = Some(serde_json::from_str(&pem)?);
        }
        Ok(Self { issuer, authority, process })
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn token_url(&self) -> String {
        format!("{}/token", self.issuer)
    }
}

impl Drop for TokenEndpoint {
    fn drop(&mut self) {
        // Failing means that it is gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What the process knows.
struct Provider {
    issuer: String,
    /// How long each answer of the token endpoint takes.
    time: Duration,
    given: AtomicU64,
}

/// The process itself. Ends only when killed.
pub(crate) fn serve(scheme: &str, milliseconds: &str) -> anyhow::Result<()> {
    let time = Duration::from_millis(milliseconds.parse()?);
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let socket = TcpSocket::new_v4()?;
        socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
        // Room for all that connect at once: whoever finds none tries again after a second.
        let listener = socket.listen(BACKLOG)?;
        let issuer = format!("{scheme}://{}", listener.local_addr()?);
        println!("{issuer}");
        let mut tls = None;
        if scheme == Scheme::Tls.name() {
            let (acceptor, authority) = tls_acceptor()?;
            println!("{}", json!(authority));
            tls = Some(acceptor);
        }
        std::io::stdout().flush()?;
        let provider = Arc::new(Provider { issuer, time, given: AtomicU64::new(0) });
        let connections = TaskTracker::new();
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let provider = Arc::clone(&provider);
            match tls.clone() {
                None => connections.spawn(converse(stream, provider)),
                Some(tls) => connections.spawn(async move {
                    // A client that gives up during the handshake is its own concern.
                    if let Ok(stream) = tls.accept(stream).await {
                        converse(stream, provider).await;
                    }
                }),
            };
        }
    })
}

/// A certificate for loopback, and the authority that signed it.
fn tls_acceptor() -> anyhow::Result<(TlsAcceptor, String)> {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate()?;
    let pem = authority.self_signed(&authority_key)?.pem();
    let (params, key) = (CertificateParams::new(["127.0.0.1".to_owned()])?, KeyPair::generate()?);
    let certificate = params.signed_by(&key, &Issuer::new(authority, authority_key))?;
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![CertificateDer::from(certificate)], key)?;
    Ok((TlsAcceptor::from(Arc::new(config)), pem))
}

/// Until the other side hangs up.
async fn converse(stream: impl AsyncRead + AsyncWrite + Unpin, provider: Arc<Provider>) {
    let answer = service_fn(move |request| answer(request, Arc::clone(&provider)));
    // A client that breaks off is its own concern.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
}

async fn answer(request: Request<Incoming>, provider: Arc<Provider>) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    // A request that broke off has nobody who waits for the answer.
    let _ = request.into_body().collect().await;
    let (status, body) = match path.as_str() {
        "/token" => {
            tokio::time::sleep(provider.time).await;
            (StatusCode::OK, provider.renew().to_string())
        }
        "/.well-known/openid-configuration" => (StatusCode::OK, provider.discovery().to_string()),
        "/jwks" => (StatusCode::OK, json!({ "keys": [] }).to_string()),
        _ => (StatusCode::NOT_FOUND, String::new()),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

impl Provider {
    fn discovery(&self) -> serde_json::Value {
        let at = |path| format!("{}{path}", self.issuer);
        json!({
            "issuer": self.issuer,
            "authorization_endpoint": at("/authorize"),
            "token_endpoint": at("/token"),
            "jwks_uri": at("/jwks"),
        })
    }

    /// Another access token for a day, and another refresh token.
    fn renew(&self) -> serde_json::Value {
        let number = self.given.fetch_add(1, Ordering::Relaxed);
        json!({
            "access_token": token("A", number, ACCESS_TOKEN).expose(),
            "refresh_token": token("R", number, REFRESH_TOKEN).expose(),
            "token_type": "Bearer",
            "expires_in": 86400,
            "scope": "openid profile email offline_access",
        })
    }
}
