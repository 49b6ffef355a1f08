//! A provider for the tests: a real HTTP server on loopback that answers what it was told to, and counts what it was asked.
//!
//! It can also do what HTTP libraries for servers prevent: hang up at any point, stop half-way, never stop.

mod settings;
mod signer;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokenkeeper_protocol::{Secret, UnixSeconds};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;

pub(crate) use settings::{begin, callback, device_begin, login_begin, oauth2_settings, oidc_settings, session};
pub(crate) use signer::Signer;

use super::{Provider, RefreshOutcome};
use crate::config::settings::ProviderSettings;
use crate::domain::Session;

/// When the tests happen.
pub(crate) const NOW: UnixSeconds = UnixSeconds(1_790_000_000);

/// A refresh from its beginning to its end.
pub(crate) async fn refresh(provider: &Provider, session: &Session, now: UnixSeconds) -> RefreshOutcome {
    match provider.prepare(session, now).await {
        Ok(ready) => provider.refresh(&ready, session, now).await,
        Err(outcome) => outcome,
    }
}

/// What the server does with a request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// Answers.
    Answer { status: u16, headers: Vec<(String, String)>, body: String },
    /// Hangs up at once, before the request is read.
    HangUpBefore,
    /// Reads the request, then hangs up.
    HangUpAfter,
    /// With this status, announces a longer body than it sends, then hangs up.
    Cut(u16, String),
    /// Sends a body without an end.
    Endless,
    /// Reads the request, and says nothing.
    Silence,
    /// Reads the request, and does the rest when it is told to.
    Held(Arc<Notify>, Box<Reply>),
}

impl Reply {
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::text(status, "application/json; charset=utf-8", &body.to_string())
    }

    pub(crate) fn text(status: u16, content_type: &str, body: &str) -> Self {
        let headers = vec![("Content-Type".to_owned(), content_type.to_owned())];
        Self::Answer { status, headers, body: body.to_owned() }
    }

    pub(crate) fn redirect(to: &str) -> Self {
        Self::text(302, "text/html", "").with("Location", to)
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        if let Self::Answer { headers, .. } = &mut self {
            headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }
}

/// A request that the server read.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Request {
    /// A field of the form.
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        let mut pairs = ::url::form_urlencoded::parse(self.body.as_bytes());
        pairs.find(|(found, _)| found == name).map(|(_, value)| value.into_owned())
    }
}

#[derive(Default)]
struct Script {
    replies: HashMap<String, Reply>,
    /// By path, in order. A connection that was dropped before it was read counts as `/`.
    requests: HashMap<String, Vec<Request>>,
    /// Every connection gets this, whatever it wants.
    on_connect: Option<Reply>,
}

/// The server. It ends with the runtime of its test.
pub(crate) struct Server {
    url: String,
    settings: ProviderSettings,
    script: Arc<Mutex<Script>>,
    /// Signs its ID tokens.
    pub(crate) signer: Signer,
}

impl Server {
    /// An OpenID provider that has a discovery document and keys, and no other answer yet.
    pub(crate) async fn oidc() -> Self {
        let server = Self::start(None, oidc_settings).await;
        let at = |path: &str| format!("{}{path}", server.url);
        server.script(
            "/.well-known/openid-configuration",
            Reply::json(
                200,
                &json!({
                    "issuer": server.url,
                    "authorization_endpoint": at("/auth"),
                    "token_endpoint": at("/token"),
                    "jwks_uri": at("/jwks"),
                    "userinfo_endpoint": at("/userinfo"),
                    "revocation_endpoint": at("/revoke"),
                    "device_authorization_endpoint": at("/device"),
                    "end_session_endpoint": at("/end"),
                }),
            ),
        );
        server.publish(&server.signer);
        server
    }

    /// A provider without discovery.
    pub(crate) async fn oauth2() -> Self {
        Self::start(None, oauth2_settings).await
    }

    /// The same, over TLS with a certificate of the authority in `keys/authority.pem`.
    pub(crate) async fn oauth2_over_tls() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let chain = vec![CertificateDer::from_pem_slice(include_bytes!("keys/server.pem")).expect("a certificate")];
        let key = PrivateKeyDer::from_pem_slice(signer::RSA_KEY.as_bytes()).expect("a key");
        let config = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key);
        Self::start(Some(TlsAcceptor::from(Arc::new(config.expect("a configuration")))), oauth2_settings).await
    }

    /// Answers requests for `path` with `reply` from now on.
    pub(crate) fn script(&self, path: &str, reply: Reply) {
        self.locked(|script| script.replies.insert(path.to_owned(), reply));
    }

    /// What requests for `path` are answered with.
    pub(crate) fn scripted(&self, path: &str) -> Reply {
        self.locked(|script| script.replies.get(path).cloned()).expect("a reply")
    }

    /// Does this with every new connection from now on.
    pub(crate) fn on_connect(&self, reply: Reply) {
        self.locked(|script| script.on_connect = Some(reply));
    }

    /// Publishes the key of `signer`, and no other.
    pub(crate) fn publish(&self, signer: &Signer) {
        self.script("/jwks", Reply::json(200, &serde_json::to_value(signer.key_set()).expect("json")));
    }

    /// Changes a member of the discovery document.
    pub(crate) fn discover(&self, member: &str, value: Value) {
        let path = "/.well-known/openid-configuration";
        let Reply::Answer { body, .. } = self.scripted(path) else { return };
        let mut document: Value = serde_json::from_str(&body).expect("json");
        document[member] = value;
        self.script(path, Reply::json(200, &document));
    }

    /// How often `path` was asked for.
    pub(crate) fn count(&self, path: &str) -> usize {
        self.locked(|script| script.requests.get(path).map_or(0, Vec::len))
    }

    /// The requests for `path`.
    pub(crate) fn requests(&self, path: &str) -> Vec<Request> {
        self.locked(|script| script.requests.get(path).cloned().unwrap_or_default())
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// A client of this server.
    pub(crate) fn provider(&self) -> Provider {
        self.provider_with(|_| {})
    }

    /// The same with other settings.
    pub(crate) fn provider_with(&self, change: impl FnOnce(&mut ProviderSettings)) -> Provider {
        let mut settings = self.settings.clone();
        change(&mut settings);
        Provider::new(Arc::new(settings)).expect("a provider")
    }

    /// An ID token of this server's for subject `u-1`, with `changes`; `null` removes a claim.
    pub(crate) fn id_token(&self, changes: &[(&str, Value)]) -> Secret {
        let mut claims = json!({
            "iss": self.url, "aud": "shop", "sub": "u-1", "exp": NOW.0 + 300, "iat": NOW.0,
            "preferred_username": "alice", "email": "alice@corp.example",
        });
        for (name, value) in changes {
            claims[name] = value.clone();
        }
        self.signer.sign(&claims)
    }

    fn locked<T>(&self, act: impl FnOnce(&mut Script) -> T) -> T {
        act(&mut self.script.lock().unwrap_or_else(PoisonError::into_inner))
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the tracker belongs to the daemon; this ends with the test's runtime"
    )]
    async fn start(tls: Option<TlsAcceptor>, settings: fn(&str) -> ProviderSettings) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}", listener.local_addr().expect("an address"));
        let script = Arc::new(Mutex::new(Script::default()));
        let server = Self { settings: settings(&url), url, script: Arc::clone(&script), signer: Signer::ed25519("k1") };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, tls.clone(), Arc::clone(&script)));
            }
        });
        server
    }
}

async fn serve(stream: TcpStream, tls: Option<TlsAcceptor>, script: Arc<Mutex<Script>>) {
    let on_connect = script.lock().unwrap_or_else(PoisonError::into_inner).on_connect.clone();
    if let Some(Reply::HangUpBefore) = on_connect {
        let nothing = Request { head: String::new(), body: String::new() };
        let mut script = script.lock().unwrap_or_else(PoisonError::into_inner);
        script.requests.entry("/".to_owned()).or_default().push(nothing);
        return;
    }
    // Whoever is served does not matter to the test when the connection breaks.
    let _ = match tls {
        None => converse(stream, &script).await,
        Some(acceptor) => match acceptor.accept(stream).await {
            Ok(stream) => converse(stream, &script).await,
            Err(error) => Err(error),
        },
    };
}

async fn converse(mut stream: impl AsyncRead + AsyncWrite + Unpin, script: &Mutex<Script>) -> std::io::Result<()> {
    let request = receive(&mut stream).await?;
    let path = request.head.split([' ', '?']).nth(1).unwrap_or_default().to_owned();
    let reply = {
        let mut script = script.lock().unwrap_or_else(PoisonError::into_inner);
        script.requests.entry(path.clone()).or_default().push(request);
        script.replies.get(&path).cloned()
    };
    let mut reply = reply.unwrap_or_else(|| Reply::text(404, "text/plain", "no such page"));
    if let Reply::Held(go_on, then) = reply {
        go_on.notified().await;
        reply = *then;
    }
    match reply {
        Reply::HangUpBefore | Reply::HangUpAfter | Reply::Held(..) => return Ok(()),
        Reply::Silence => {
            stream.read_to_end(&mut Vec::new()).await?;
        }
        Reply::Cut(status, body) => {
            let announced = body.len() + 1;
            let head =
                format!("HTTP/1.1 {status} Said\r\nContent-Type: application/json\r\nContent-Length: {announced}");
            stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).await?;
        }
        Reply::Endless => {
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
            stream.write_all(head.as_bytes()).await?;
            let chunk = format!("4000\r\n{}\r\n", " ".repeat(0x4000));
            loop {
                stream.write_all(chunk.as_bytes()).await?;
            }
        }
        Reply::Answer { status, headers, body } => {
            let headers: Vec<_> = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            let (headers, length) = (headers.concat(), body.len());
            let head = format!("HTTP/1.1 {status} Said\r\nContent-Length: {length}\r\n{headers}\r\n");
            stream.write_all(format!("{head}{body}").as_bytes()).await?;
        }
    }
    stream.shutdown().await
}

/// One request: its head, and as much of a body as it announces.
async fn receive(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Request> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return Ok(Request { head: head.to_owned(), body: body.to_owned() });
            }
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
}
