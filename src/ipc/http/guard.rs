//! What a browser can be made to send is refused, for the case that somebody puts a careless proxy in front of a socket.
//!
//! A page of another site can make a browser send requests anywhere, and one whose name suddenly leads to the proxy (DNS
//! rebinding) can read the answers. No program that is meant to use the socket sends these headers, or the name of a site in `Host`:
//! over plain http, that alone gives away a rebound page that only reads. (`Sec-Fetch-Mode` is none of them: Node sends it.)

use std::net::IpAddr;
use std::path::Path;

use hyper::StatusCode;
use hyper::header::{HOST, HeaderMap, ORIGIN};
use tokenkeeper_protocol::Code;

use super::problem::Failure;

/// Lets a request pass that no browser has sent.
pub(super) fn check(headers: &HeaderMap) -> Result<(), Failure> {
    let telltale = [ORIGIN.as_str(), "sec-fetch-site"].into_iter().find(|name| headers.contains_key(*name));
    if let Some(telltale) = telltale {
        let why = format!(
            "requests of browsers are not answered, and this one bears the header {telltale}; \
             let the backend ask, and do not put a proxy in front of this socket"
        );
        return Err(forbidden(why));
    }
    if headers.get_all(HOST).iter().any(|host| host.to_str().map_or(true, is_name_of_a_site)) {
        let why =
            "the header Host names a site, as in requests of browsers; write localhost, or any name without a dot";
        return Err(forbidden(why));
    }
    Ok(())
}

/// The same, where a web page could get at the socket by any name: the host has to be named as this one.
pub(super) fn check_local(headers: &HeaderMap) -> Result<(), Failure> {
    check(headers)?;
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    if !is_loopback(host) {
        return Err(forbidden("the header Host must name a loopback address, such as 127.0.0.1"));
    }
    Ok(())
}

fn forbidden(why: impl Into<String>) -> Failure {
    Failure::with(StatusCode::FORBIDDEN, Code::Denied, why)
}

/// Whether a page can stand under this `Host`: sites have a dot in their name. What stands for a Unix socket has none, or is its
/// path, which no site can be called by.
fn is_name_of_a_site(host: &str) -> bool {
    let is_path = host.contains('%') || Path::new(host).extension().is_some_and(|it| it == "sock");
    host.contains('.') && !is_path && !is_loopback(host)
}

/// Whether a `Host` is this host by its address. A name that an attacker owns can lead here; `localhost` is nobody's.
fn is_loopback(host: &str) -> bool {
    let without_port = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let address = without_port.trim_start_matches('[').trim_end_matches(']');
    without_port.eq_ignore_ascii_case("localhost") || address.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_host_by_its_address_is_taken_for_itself() {
        for host in ["127.0.0.1", "127.0.0.1:9464", "127.8.8.8:1", "[::1]", "[::1]:9464", "localhost", "LOCALHOST:9464"]
        {
            assert!(is_loopback(host), "{host}");
        }
        for host in
            ["", "evil.example", "evil.example:9464", "192.0.2.1", "127.0.0.1.evil.example", "localhost.evil.example"]
        {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[test]
    fn what_programs_write_for_a_unix_socket_is_no_site() {
        for host in [
            "localhost",
            "localhost:80",
            "unix",
            "x",
            "",
            "127.0.0.1",
            "[::1]",
            "%2Frun%2Ftokenkeeper%2Fhttp.sock",
            "http.sock",
            "tokenkeeper",
        ] {
            assert!(!is_name_of_a_site(host), "{host}");
        }
        for host in ["evil.example", "evil.example:8080", "192.0.2.1", "127.0.0.1.evil.example", "localhost."] {
            assert!(is_name_of_a_site(host), "{host}");
        }
    }
}
