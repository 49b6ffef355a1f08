//! The authorize URL of a login, checked once: an address a browser may be sent to, with the `state` that tells callbacks apart.

use tokenkeeper_client::Secret;
use url::{Url, form_urlencoded};

use crate::failure::Failure;

/// A login page at a provider.
#[derive(Clone)]
pub(crate) struct AuthorizeUrl {
    url: Secret,
    state: Secret,
}

impl TryFrom<&Secret> for AuthorizeUrl {
    type Error = Failure;

    fn try_from(text: &Secret) -> Result<Self, Failure> {
        let url = Url::parse(text.expose()).map_err(|_| Failure::BadAuthorizeUrl)?;
        let query = url.query().unwrap_or_default();
        let state = parameter(query, "state").filter(|state| !state.is_empty()).ok_or(Failure::BadAuthorizeUrl)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Failure::BadAuthorizeUrl);
        }
        Ok(Self { state, url: Secret::from(String::from(url)) })
    }
}

impl AuthorizeUrl {
    /// Printable ASCII, whatever the daemon wrote: fit for a terminal and for a header.
    pub(crate) fn as_str(&self) -> &str {
        self.url.expose()
    }

    /// Whether a callback with this query belongs to this login.
    pub(crate) fn is_answered_by(&self, query: &str) -> bool {
        parameter(query, "state").is_some_and(|state| state == self.state)
    }
}

fn parameter(query: &str, name: &str) -> Option<Secret> {
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    pairs.find_map(|(key, value)| (key == name).then(|| Secret::from(value.into_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Result<AuthorizeUrl, Failure> {
        AuthorizeUrl::try_from(&Secret::from(text))
    }

    #[test]
    fn a_callback_belongs_to_the_login_whose_state_it_brings() {
        let url = url("https://id.example/authorize?client_id=a&state=a%2Bb").unwrap();
        assert!(url.is_answered_by("code=x&state=a%2Bb&iss=y"));
        for other in ["", "code=x", "code=x&state=", "code=x&state=a%2Bc", "xstate=a%2Bb"] {
            assert!(!url.is_answered_by(other), "{other}");
        }
    }

    #[test]
    fn an_address_without_state_or_of_another_scheme_is_not_opened() {
        for wrong in [
            "https://id.example/authorize",
            "https://id.example/?state=",
            "file:///etc/passwd?state=x",
            "javascript:x?state=y",
            "no",
        ] {
            assert!(matches!(url(wrong), Err(Failure::BadAuthorizeUrl)), "{wrong}");
        }
    }

    #[test]
    fn nothing_in_it_can_end_a_header_or_command_a_terminal() {
        let url = url("https://id.example/\u{1b}[2J\u{202e}?x=\u{9b}\r\nSet-Cookie:a&state=s").unwrap();
        assert!(url.as_str().bytes().all(|byte| byte.is_ascii_graphic()), "{}", url.as_str());
    }
}
