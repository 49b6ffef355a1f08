//! Texts with placeholders: `"Bearer {access_token}"`. The set of placeholders is closed; a brace is written twice to stand for itself.

use crate::config::table::suggest;
use crate::config::value::Complaint;

/// A text with placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

/// A part of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// As it stands.
    Text(String),
    /// To be filled in.
    Value(Placeholder),
}

macro_rules! placeholders {
    ($($(#[$doc:meta])* $name:ident = $word:literal,)*) => {
        /// What can be filled in.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Placeholder { $($(#[$doc])* $name,)* }

        impl Placeholder {
            /// As it is written, without braces.
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }
        }
    };
}

placeholders! {
    /// Our registration.
    ClientId = "client_id",
    /// Its secret.
    ClientSecret = "client_secret",
    /// What the browser brought back.
    Code = "code",
    /// Where the browser comes back to.
    RedirectUri = "redirect_uri",
    /// RFC 7636 section 4.1.
    CodeVerifier = "code_verifier",
    /// RFC 7636 section 4.2.
    CodeChallenge = "code_challenge",
    /// Shows to which login a callback belongs.
    State = "state",
    /// Shows to which login an ID token belongs.
    Nonce = "nonce",
    /// What is asked for, separated by spaces.
    Scope = "scope",
    /// Whom to suggest.
    LoginHint = "login_hint",
    /// How to authenticate.
    AcrValues = "acr_values",
    /// The access token.
    AccessToken = "access_token",
    /// The refresh token.
    RefreshToken = "refresh_token",
    /// The ID token.
    IdToken = "id_token",
    /// The user's identifier at the provider.
    Subject = "subject",
}

impl Template {
    /// Reads `text`, in which `allowed` may stand.
    pub(in crate::config) fn parse(text: &str, allowed: &[Placeholder]) -> Result<Self, Complaint> {
        let mut pieces = vec![Piece::Text(String::new())];
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, brace) = rest.split_at(at);
            push(&mut pieces, before);
            rest = if let Some(after) = brace.strip_prefix("{{") {
                push(&mut pieces, "{");
                after
            } else if let Some(after) = brace.strip_prefix("}}") {
                push(&mut pieces, "}");
                after
            } else {
                let (name, after) = brace.strip_prefix('{').and_then(|it| it.split_once('}')).ok_or_else(|| {
                    Complaint::new("has a brace without its partner; write {{ or }} for the character itself")
                })?;
                pieces.push(Piece::Value(placeholder(name, allowed)?));
                after
            };
        }
        push(&mut pieces, rest);
        pieces.retain(|piece| *piece != Piece::Text(String::new()));
        Ok(Self(pieces))
    }

    /// One that tests know to be right.
    #[cfg(test)]
    pub(crate) fn sample(text: &str, allowed: &[Placeholder]) -> Self {
        Self::parse(text, allowed).expect("a template")
    }

    /// Its parts, in order.
    pub fn pieces(&self) -> &[Piece] {
        &self.0
    }

    /// Whether `placeholder` stands in it.
    pub fn uses(&self, placeholder: Placeholder) -> bool {
        self.0.contains(&Piece::Value(placeholder))
    }

    /// The text, with `value` in the place of every placeholder.
    pub fn fill<'a>(&'a self, value: impl Fn(Placeholder) -> &'a str) -> String {
        // Its capacity is known before: a text that grows leaves copies of secrets behind.
        let parts: Vec<&str> = self
            .0
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) => text,
                Piece::Value(placeholder) => value(*placeholder),
            })
            .collect();
        parts.concat()
    }
}

fn push(pieces: &mut Vec<Piece>, text: &str) {
    match pieces.last_mut() {
        Some(Piece::Text(last)) => last.push_str(text),
        _ => pieces.push(Piece::Text(text.to_owned())),
    }
}

fn placeholder(name: &str, allowed: &[Placeholder]) -> Result<Placeholder, Complaint> {
    let found = allowed.iter().find(|placeholder| placeholder.name() == name);
    found.copied().ok_or_else(|| {
        let names: Vec<_> = allowed.iter().map(|placeholder| format!("{{{}}}", placeholder.name())).collect();
        let written = format!("{{{name}}}");
        if names.is_empty() {
            return Complaint::new(format!("holds {written:?}, and no placeholder may stand here"));
        }
        Complaint::new(format!("holds {written:?}, which cannot stand here; {}", suggest(&written, &names)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(text: &str) -> Result<String, String> {
        let template = Template::parse(text, &[Placeholder::Code, Placeholder::ClientId]);
        let template = template.map_err(|complaint| complaint.to_string())?;
        Ok(template.fill(|placeholder| if placeholder == Placeholder::Code { "c0de" } else { "shop" }))
    }

    #[test]
    fn placeholders_are_filled_in_and_braces_are_written_twice() {
        assert_eq!(fill("").as_deref(), Ok(""));
        assert_eq!(fill("plain").as_deref(), Ok("plain"));
        assert_eq!(fill("{code}").as_deref(), Ok("c0de"));
        assert_eq!(fill("a {code}{client_id} b {{code}}").as_deref(), Ok("a c0deshop b {code}"));
    }

    #[test]
    fn a_wrong_placeholder_is_refused_with_the_right_one() {
        assert_eq!(
            fill("{codee}").unwrap_err(),
            "holds \"{codee}\", which cannot stand here; did you mean \"{code}\"?"
        );
        assert!(fill("{access_token}").unwrap_err().ends_with("allowed are \"{code}\", \"{client_id}\""));
        for wrong in ["{code", "code}", "{{code}"] {
            assert!(fill(wrong).unwrap_err().contains("without its partner"), "{wrong}");
        }
    }
}
