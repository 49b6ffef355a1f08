//! The other end of a TLS handshake that goes wrong in one certain way. Certificates are made for each, and nothing is kept.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::super::deadline::unix_seconds;
use super::answer::http_date;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tls {
    /// Nothing: whatever is asked for is answered with 404.
    Right,
    /// Nothing, and its clock is so many seconds ahead.
    Ahead(i64),
    /// The certificate is signed by an authority that nobody was told of.
    UnknownAuthority,
    /// The certificate is signed by nobody else.
    SelfSigned,
    /// The certificate is signed by nobody else, and says that it is an authority, as `openssl req -x509` makes them.
    AuthorityAsServer,
    /// The certificate is for `id.corp.example`.
    WrongName,
    /// The certificate expired on 2020-02-01.
    Expired,
    /// The certificate becomes valid on 2100-01-01.
    NotYetValid,
    /// It speaks HTTP where TLS is expected.
    PlainHttp,
    /// It hangs up when it was greeted.
    CutOff,
    /// It says nothing at all.
    Silent,
    /// It says that the version is not one of its own.
    TooOld,
    /// It says that there is nothing both sides can do.
    Declined,
}

/// Something that listens where a provider should.
pub(crate) struct TlsServer {
    /// Its issuer identifier.
    pub(crate) issuer: String,
    /// The authority that should have signed its certificate, for `ca_file`.
    pub(crate) authority: String,
}

impl TlsServer {
    pub(crate) fn start(tls: Tls) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let issuer = format!("https://{}", listener.local_addr().expect("a bound socket has an address"));
        let authority = authority("the right authority");
        let pem = authority.certificate.clone();
        let config = Arc::new(config(tls, &authority));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that does not like what it is shown hangs up: that is what this is for.
                let _ = serve(tls, stream, Arc::clone(&config));
            }
        });
        Self { issuer, authority: pem }
    }
}

fn serve(tls: Tls, mut stream: TcpStream, config: Arc<ServerConfig>) -> std::io::Result<()> {
    let answer: &[u8] = match tls {
        // Until the client has had enough.
        Tls::Silent => return std::io::copy(&mut stream, &mut std::io::sink()).map(drop),
        Tls::PlainHttp => b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
        Tls::CutOff => b"",
        // A fatal alert (RFC 8446 section 6): protocol_version, handshake_failure.
        Tls::TooOld => &[21, 3, 1, 0, 2, 2, 70],
        Tls::Declined => &[21, 3, 3, 0, 2, 2, 40],
        _ => {
            let connection = ServerConnection::new(config).map_err(std::io::Error::other)?;
            let mut stream = StreamOwned::new(connection, stream);
            let _ = stream.read(&mut [0; 4096])?;
            let date = match tls {
                Tls::Ahead(seconds) => format!("Date: {}\r\n", http_date(unix_seconds() + seconds)),
                _ => String::new(),
            };
            let head = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n";
            stream.write_all(format!("{head}{date}\r\n").as_bytes())?;
            stream.conn.send_close_notify();
            return stream.flush();
        }
    };
    let _ = stream.read(&mut [0; 4096])?;
    stream.write_all(answer)
}

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

fn authority(name: &str) -> Authority {
    let key = KeyPair::generate().expect("a key can be made");
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = params.self_signed(&key).expect("an authority can sign itself").pem();
    Authority { issuer: Issuer::new(params, key), certificate }
}

fn config(tls: Tls, authority: &Authority) -> ServerConfig {
    let key = KeyPair::generate().expect("a key can be made");
    let name = if tls == Tls::WrongName { "id.corp.example" } else { "127.0.0.1" };
    let mut params = CertificateParams::new([name.to_owned()]).expect("the name is one");
    params.distinguished_name.push(DnType::CommonName, name);
    match tls {
        Tls::Expired => params.not_after = date_time_ymd(2020, 2, 1),
        Tls::NotYetValid => params.not_before = date_time_ymd(2100, 1, 1),
        Tls::AuthorityAsServer => params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained),
        _ => {}
    }
    let certificate = match tls {
        Tls::SelfSigned | Tls::AuthorityAsServer => params.self_signed(&key),
        Tls::UnknownAuthority => params.signed_by(&key, &self::authority("a stranger").issuer),
        _ => params.signed_by(&key, &authority.issuer),
    };
    let chain = vec![CertificateDer::from(certificate.expect("a certificate can be signed"))];
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring does TLS 1.2 and 1.3")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("the key belongs to the certificate")
}
