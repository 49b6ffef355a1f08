//! The second half of a login: what the browser brings back (RFC 6749 section 4.1.2, RFC 9207).

use std::collections::HashSet;

use tokenkeeper_protocol::Secret;
use url::form_urlencoded;

use super::secrets::Secrets;

/// What the browser brought back. Nothing of it may be believed before `state` was compared with that of the flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Callback {
    /// To which flow it belongs; none only where the configuration says that the provider does not give it back.
    pub state: Option<Secret>,
    /// What the provider answered.
    pub answer: Answer,
    /// Which provider it claims to be from.
    pub iss: Option<String>,
}

/// The provider's answer to an authorization request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A code to exchange for tokens.
    Code(Secret),
    /// There will be no tokens. Fit to be shown.
    Error {
        /// `error`.
        error: String,
        /// `error_description`.
        description: Option<String>,
    },
}

/// What the browser brought back is not an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallbackMalformed {
    /// It says to which flow it belongs nowhere.
    #[error("there is no state in it: pass on all that follows the ? of the address that the browser came back to")]
    NoState,
    /// It holds neither a code nor an error.
    #[error("there is neither a code nor an error in it: pass on all that follows the ? of the address")]
    NoAnswer,
    /// It holds a code and an error.
    #[error("there are both a code and an error in it")]
    Contradiction,
    /// A parameter is in it twice (RFC 6749 section 3.1 forbids it).
    #[error("a parameter is in it more than once")]
    Repeated,
}

impl Callback {
    /// Reads a query of the standards. A leading `?` is tolerated, and so is the whole address, as a person pastes it.
    pub(super) fn parse(query: &Secret, secrets: &Secrets) -> Result<Self, CallbackMalformed> {
        Self::read(query, ["state", "code", "error", "error_description", "iss"].map(Some), secrets)
    }

    /// The same with other names for what is in it.
    pub(super) fn parse_as(
        query: &Secret,
        secrets: &Secrets,
        state: Option<&str>,
        code: &str,
        error: &str,
        description: &str,
    ) -> Result<Self, CallbackMalformed> {
        Self::read(query, [state, Some(code), Some(error), Some(description), None], secrets)
    }

    /// Whether it belongs to the flow with `state`, as far as it can tell.
    pub fn fits(&self, state: &Secret) -> bool {
        self.state.as_ref().is_none_or(|found| found == state)
    }

    fn read(query: &Secret, names: [Option<&str>; 5], secrets: &Secrets) -> Result<Self, CallbackMalformed> {
        let mut seen = HashSet::new();
        let [mut state, mut code, mut error, mut description, mut iss] = [const { None }; 5];
        for (name, value) in form_urlencoded::parse(query_of(query.expose()).as_bytes()) {
            let slots = [&mut state, &mut code, &mut error, &mut description, &mut iss];
            if let Some((_, slot)) = names.into_iter().zip(slots).find(|(known, _)| *known == Some(name.as_ref())) {
                *slot = Some(Secret::from(value.into_owned())).filter(|value| !value.is_empty());
            }
            if !seen.insert(name) {
                return Err(CallbackMalformed::Repeated);
            }
        }
        if names[0].is_some() && state.is_none() {
            return Err(CallbackMalformed::NoState);
        }
        let secrets = secrets.with(&state);
        let shown = |text: &Secret| secrets.show(text.expose());
        let answer = match (code, error) {
            (Some(code), None) => Answer::Code(code),
            (None, Some(error)) => Answer::Error { error: shown(&error), description: description.as_ref().map(shown) },
            (Some(_), Some(_)) => return Err(CallbackMalformed::Contradiction),
            (None, None) => return Err(CallbackMalformed::NoAnswer),
        };
        Ok(Self { answer, iss: iss.map(|iss| iss.expose().to_owned()), state })
    }
}

/// The part of `text` that is a query. A `#` stands in none unescaped: some providers append `#_=_`.
fn query_of(text: &str) -> &str {
    let text = text.trim();
    let text = text.split_once('#').map_or(text, |(before, _)| before);
    let is_address = text.starts_with("http://") || text.starts_with("https://") || text.starts_with('?');
    match text.split_once('?') {
        Some((_, query)) if is_address => query,
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::scripted::oidc_settings;

    fn parse(query: &str) -> Result<Callback, CallbackMalformed> {
        Callback::parse(&Secret::from(query), &Secrets::of(&oidc_settings("https://id.example")))
    }

    #[test]
    fn a_query_is_read_however_it_was_passed_on() {
        let expected = Callback {
            state: Some(Secret::from("s t")),
            answer: Answer::Code(Secret::from("c+/=")),
            iss: Some("https://id.example?x".to_owned()),
        };
        let query = "code=c%2B%2F%3D&state=s+t&iss=https://id.example?x&session_state=1";
        for passed in [
            query.to_owned(),
            format!("?{query}"),
            format!(" https://shop.example/cb?{query}#_=_\n"),
            format!("http://127.0.0.1:4321/?{query}"),
        ] {
            assert_eq!(parse(&passed).as_ref(), Ok(&expected), "{passed}");
        }
    }

    #[test]
    fn an_error_of_the_provider_is_made_harmless() {
        let callback = parse("error=access_denied&error_description=No%0Away%1b%5b31m&state=s").expect("a callback");
        let (error, description) = ("access_denied".to_owned(), Some("No way[31m".to_owned()));
        assert_eq!(callback.answer, Answer::Error { error, description });
    }

    #[test]
    fn what_is_no_answer_is_refused_with_the_reason() {
        for (query, why) in [
            ("", CallbackMalformed::NoState),
            ("code=c", CallbackMalformed::NoState),
            ("code=c&state=", CallbackMalformed::NoState),
            ("state=s", CallbackMalformed::NoAnswer),
            ("state=s&code=", CallbackMalformed::NoAnswer),
            ("state=s&code=c&error=e", CallbackMalformed::Contradiction),
            ("state=s&code=c&code=c", CallbackMalformed::Repeated),
            ("state=s&code=c&state=s", CallbackMalformed::Repeated),
            ("state=s&code=c&x=1&x=2", CallbackMalformed::Repeated),
            ("state=s&code=c&iss=a&iss=b", CallbackMalformed::Repeated),
            ("https://shop.example/cb", CallbackMalformed::NoState),
        ] {
            assert_eq!(parse(query), Err(why), "{query:?}");
        }
    }

    #[test]
    fn a_callback_does_not_show_its_code() {
        let shown = format!("{:?}", parse("state=st4te&code=c0de"));
        assert!(!shown.contains("st4te") && !shown.contains("c0de"), "{shown}");
    }
}
