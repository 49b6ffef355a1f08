//! Addresses of other machines: provider URLs, redirect URIs, proxies, syslog receivers.
//!
//! Credentials travel only over TLS, or in clear text to this host itself. A URL is kept as it was written: issuers and
//! redirect URIs are compared byte for byte (RFC 8414 section 3.3, RFC 9700 section 4.1.3). A URL with a password in it is
//! refused and not repeated.

use std::path::PathBuf;

use url::{Host, Url};

use super::settings::{AuditTarget, RedirectUri};
use super::value::Complaint;

/// A URL of a provider.
pub(super) fn provider_url(text: &str) -> Result<String, Complaint> {
    checked(text).map(|_| text.to_owned())
}

/// An issuer: a URL without query (OpenID Connect Discovery 1.0 section 2).
pub(super) fn issuer(text: &str) -> Result<String, Complaint> {
    match checked(text)?.query() {
        None => Ok(text.to_owned()),
        Some(_) => Err(Complaint::new("must be a URL without a query")),
    }
}

/// The origin of a URL that was checked: what stands for an issuer where a provider names none.
pub(super) fn origin(url: &str) -> Option<String> {
    Url::parse(url).ok().map(|url| url.origin().ascii_serialization())
}

/// One of `redirect_uris`.
pub(super) fn redirect_uri(text: &str) -> Result<RedirectUri, Complaint> {
    if text == "loopback" {
        return Ok(RedirectUri::Loopback);
    }
    let or_loopback = |complaint| Complaint::new(format!("{complaint}; or the word \"loopback\""));
    checked(text).map(|_| RedirectUri::Exact(text.to_owned())).map_err(or_loopback)
}

/// What a token is to be presented to: an absolute URI without a fragment (RFC 8707 section 2), kept byte for byte.
pub(super) fn resource(text: &str) -> Result<String, Complaint> {
    let allowed = "write one without a fragment, such as \"https://api.corp.example\"";
    let is_absolute = Url::parse(text).is_ok_and(|url| url.fragment().is_none());
    if is_absolute && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(text.to_owned());
    }
    Err(Complaint::new(format!("holds {text:?}, which is no absolute URI of a resource; {allowed}")))
}

/// An HTTP proxy. Plain http is allowed: what goes through it is TLS.
pub(super) fn proxy(text: &str) -> Result<String, Complaint> {
    let url = parse(text)?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Complaint::new("must be an http:// or https:// URL, such as \"http://proxy.corp.example:3128\""));
    }
    Ok(text.to_owned())
}

/// `[audit] target`.
pub(super) fn audit_target(text: &str) -> Result<AuditTarget, Complaint> {
    let absolute = |path: &str| Some(PathBuf::from(path)).filter(|path| path.is_absolute());
    let target = match text.split_once(':') {
        Some(("unix", path)) => absolute(path).map(AuditTarget::UnixDatagram),
        Some(("udp", address)) => host_and_port(address).map(AuditTarget::Udp),
        Some(("tcp", address)) => host_and_port(address).map(AuditTarget::Tcp),
        _ => absolute(text).map(AuditTarget::Local),
    };
    let allowed = "a path such as \"/dev/log\", or \"unix:/run/audit.sock\", \"udp:host:514\" or \"tcp:host:601\"";
    target.ok_or_else(|| Complaint::new(format!("is no place for audit records: {text:?}; write {allowed}")))
}

/// `host:port`, with an IPv6 address in brackets.
fn host_and_port(text: &str) -> Option<String> {
    let (host, port) = text.rsplit_once(':')?;
    let is_port = port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port != 0);
    let is_host = Host::parse(host).is_ok();
    (is_port && is_host).then(|| text.to_owned())
}

fn checked(text: &str) -> Result<Url, Complaint> {
    let url = parse(text)?;
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(&url) => {}
        "http" => {
            return Err(Complaint::new(format!(
                "must begin with https://, not {text:?}; plain http is for loopback addresses only"
            )));
        }
        _ => return Err(Complaint::new("must be a URL that begins with https://")),
    }
    if url.fragment().is_some() {
        return Err(Complaint::new("must be a URL without \"#\""));
    }
    Ok(url)
}

fn parse(text: &str) -> Result<Url, Complaint> {
    let broken = || Complaint::new("must be a whole URL, such as \"https://id.corp.example\"");
    // The parser drops blanks and line ends; what is compared byte for byte must not hold them.
    if text.chars().any(|letter| letter.is_whitespace() || letter.is_control()) {
        return Err(broken());
    }
    let url = Url::parse(text).map_err(|_| broken())?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Complaint::new("must be a URL without a user name and password"));
    }
    if url.host().is_none() {
        return Err(broken());
    }
    Ok(url)
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn providers_are_spoken_to_over_tls_or_on_this_host() {
        for right in
            ["https://id.corp.example/a?b=c", "http://127.8.0.1:9000", "http://[::1]:9000/", "http://localhost/x"]
        {
            assert_eq!(provider_url(right), Ok(right.to_owned()));
        }
        for wrong in ["http://id.corp.example", "http://localhost.corp.example", "http://128.0.0.1", "http://[::2]"] {
            let complaint = provider_url(wrong).unwrap_err().to_string();
            assert!(complaint.contains("must begin with https://"), "{wrong}: {complaint}");
        }
        for wrong in
            ["", "id.corp.example", "ftp://id.corp.example", "https://", " https://x.example", "https://x.example/\ta"]
        {
            assert!(provider_url(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_password_in_a_url_is_refused_and_not_repeated() {
        for wrong in ["https://u:hunter2@x.example", "http://u:hunter2@x.example", "https://hunter2@x.example"] {
            for complaint in [provider_url(wrong).unwrap_err(), proxy(wrong).unwrap_err()] {
                assert_eq!(complaint.to_string(), "must be a URL without a user name and password");
            }
        }
    }

    #[test]
    fn an_issuer_is_kept_byte_for_byte() {
        assert_eq!(issuer("https://ID.corp.example:443/"), Ok("https://ID.corp.example:443/".to_owned()));
        assert!(issuer("https://id.corp.example/?a=b").is_err());
        assert!(issuer("https://id.corp.example/#a").is_err());
        assert_eq!(origin("https://id.corp.example:443/token").as_deref(), Some("https://id.corp.example"));
    }

    #[test]
    fn redirect_uris_are_exact_or_loopback() {
        assert_eq!(redirect_uri("loopback"), Ok(RedirectUri::Loopback));
        assert_eq!(redirect_uri("https://x.example/cb"), Ok(RedirectUri::Exact("https://x.example/cb".to_owned())));
        let complaint = redirect_uri("Loopback").unwrap_err().to_string();
        assert!(complaint.ends_with("or the word \"loopback\""), "{complaint}");
    }

    #[test]
    fn audit_records_go_to_a_socket_or_a_host() {
        assert_eq!(audit_target("/dev/log"), Ok(AuditTarget::Local("/dev/log".into())));
        assert_eq!(audit_target("unix:/run/a"), Ok(AuditTarget::UnixDatagram("/run/a".into())));
        assert_eq!(audit_target("udp:log.example:514"), Ok(AuditTarget::Udp("log.example:514".to_owned())));
        assert_eq!(audit_target("tcp:[::1]:601"), Ok(AuditTarget::Tcp("[::1]:601".to_owned())));
        for wrong in
            ["", "dev/log", "unix:run/a", "udp:host", "udp::514", "tcp:host:0", "tcp:::1:601", "udp:h:+5", "x:/y"]
        {
            let complaint = audit_target(wrong).unwrap_err().to_string();
            assert!(complaint.contains("\"/dev/log\""), "{wrong}: {complaint}");
        }
    }
}
