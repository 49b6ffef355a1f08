//! The authorize URL of a login, checked once: an address a browser may be sent to, with the `state` that tells callbacks apart.

use tokenkeeper_client::Secret;
use url::{Url, form_urlencoded};

use crate::failure::Failure;

/// A login page at a provider.
#[derive(Clone)]
pub(crate) struct AuthorizeUrl {
    url: Secret,
    /// What a callback brings back: the `state`, or all that may be one under another name.
    states: Vec<Secret>,
}

/// Characters of a `state` that the daemon makes.
const STATE_CHARS: usize = 43;

impl TryFrom<&Secret> for AuthorizeUrl {
    type Error = Failure;

    fn try_from(text: &Secret) -> Result<Self, Failure> {
        let url = Url::parse(text.expose()).map_err(|_| Failure::BadAuthorizeUrl)?;
        let query = url.query().unwrap_or_default();
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Failure::BadAuthorizeUrl);
        }
        let states = match parameter(query, "state") {
            Some(state) => vec![state],
            // A provider that follows no standard calls it something else, and the daemon alone knows what.
            None => values(query).filter(may_be_state).collect(),
        };
        if states.iter().all(Secret::is_empty) {
            return Err(Failure::NoState);
        }
        Ok(Self { states, url: Secret::from(String::from(url)) })
    }
}

impl AuthorizeUrl {
    /// Printable ASCII, whatever the daemon wrote: fit for a terminal and for a header.
    pub(crate) fn as_str(&self) -> &str {
        self.url.expose()
    }

    /// Whether a callback with this query belongs to this login.
    pub(crate) fn is_answered_by(&self, query: &str) -> bool {
        match parameter(query, "state") {
            Some(state) => self.states.contains(&state),
            None => self.has_odd_names() && values(query).any(|value| self.states.contains(&value)),
        }
    }

    fn has_odd_names(&self) -> bool {
        let query = self.url.expose().split_once('?').map_or("", |(_, query)| query);
        parameter(query, "state").is_none()
    }
}

fn values(query: &str) -> impl Iterator<Item = Secret> {
    form_urlencoded::parse(query.as_bytes()).map(|(_, value)| Secret::from(value.into_owned()))
}

/// 256 random bits as the daemon writes them. A code challenge looks the same, and is no more known to anybody else.
fn may_be_state(value: &Secret) -> bool {
    let is_base64url = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    value.len() == STATE_CHARS && value.expose().bytes().all(is_base64url)
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
    fn a_state_under_another_name_is_known_by_its_value() {
        let state = "x".repeat(STATE_CHARS);
        let url = url(&format!("https://id.example/start?app=shop&s={state}")).unwrap();
        assert!(url.is_answered_by(&format!("CODE=c&s={state}")));
        for other in ["CODE=c", "CODE=c&s=x", "app=shop", &format!("s={state}x"), &format!("s={state}&state=other")] {
            assert!(!url.is_answered_by(other), "{other}");
        }
    }

    #[test]
    fn an_address_without_state_or_of_another_scheme_is_not_opened() {
        for stateless in ["https://id.example/authorize", "https://id.example/?state=", "https://id.example/?app=shop"]
        {
            assert!(matches!(url(stateless), Err(Failure::NoState)), "{stateless}");
        }
        for wrong in ["file:///etc/passwd?state=x", "javascript:x?state=y", "no"] {
            assert!(matches!(url(wrong), Err(Failure::BadAuthorizeUrl)), "{wrong}");
        }
    }

    #[test]
    fn nothing_in_it_can_end_a_header_or_command_a_terminal() {
        let url = url("https://id.example/\u{1b}[2J\u{202e}?x=\u{9b}\r\nSet-Cookie:a&state=s").unwrap();
        assert!(url.as_str().bytes().all(|byte| byte.is_ascii_graphic()), "{}", url.as_str());
    }
}
