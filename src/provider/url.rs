//! Where requests with credentials may go: `https`, or `http` to this machine alone.

use ::url::{Host, Url};

/// The longest address that is shown to people: a QR code of it still fits on a screen.
const SHOWN_LIMIT: usize = 512;

/// A URL that credentials may be sent to; that it exists proves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SafeUrl(Url);

impl SafeUrl {
    /// Reads `text` if it is `https://` with a host, or `http://` with a loopback host; without user, password and fragment.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let url = Url::parse(text).ok()?;
        let bare = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
        let secure = match url.scheme() {
            "https" => url.host().is_some(),
            "http" => is_loopback(&url.host()?),
            _ => false,
        };
        (bare && secure).then_some(Self(url))
    }

    /// `text` as people may be sent there: by the same rules, in printable ASCII, and of bounded length.
    pub(super) fn for_people(text: &str) -> Option<String> {
        let url = String::from(Self::parse(text)?.0);
        (url.len() <= SHOWN_LIMIT).then_some(url)
    }

    /// The URL.
    pub(super) fn url(&self) -> &Url {
        &self.0
    }

    /// Host and port, for messages.
    pub(super) fn host(&self) -> String {
        let host = self.0.host_str().unwrap_or_default();
        self.0.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }
}

/// `localhost` counts: the HTTP client resolves it to the loopback addresses by itself, whatever the resolver says.
fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_go_over_tls_or_stay_on_this_machine() {
        for fine in
            ["https://id.example/token?x=1", "http://127.0.0.1:3000/t", "http://[::1]/t", "http://localhost:1/t"]
        {
            assert!(SafeUrl::parse(fine).is_some(), "{fine}");
        }
        for wrong in [
            "http://id.example/token",
            "http://localhost.evil.example/",
            "http://127.0.0.1.evil.example/",
            "https://user:pw@id.example/",
            "https://id.example/#x",
            "file:///etc/passwd",
            "id.example",
        ] {
            assert!(SafeUrl::parse(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn what_people_are_sent_to_holds_nothing_that_a_terminal_obeys() {
        let shown = SafeUrl::for_people("https://id.example/d\u{1b}[2J\u{202e}?user_code=A B").expect("an address");
        assert_eq!(shown, "https://id.example/d%1B[2J%E2%80%AE?user_code=A%20B");
        assert_eq!(SafeUrl::for_people("http://id.example/device"), None);
        assert_eq!(SafeUrl::for_people("javascript:alert(1)"), None);
        assert_eq!(SafeUrl::for_people(&format!("https://id.example/{}", "x".repeat(512))), None);
    }

    #[test]
    fn messages_name_the_port_when_it_is_not_the_usual_one() {
        let host = |text| SafeUrl::parse(text).map(|url| url.host());
        assert_eq!(host("https://id.example/a").as_deref(), Some("id.example"));
        assert_eq!(host("http://127.0.0.1:3000/a").as_deref(), Some("127.0.0.1:3000"));
    }
}
