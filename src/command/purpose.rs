//! What a token must be good for: asserted, never asked of the provider. Either the token at hand has it, or the answer says what
//! to do so that the next one will (docs/decisions/0015).

use tokenkeeper_protocol::{Code, Problem};

use crate::domain::{Owner, has_scope};
use crate::keeper::Live;

/// As much as is kept of the scopes of a token.
const SCOPE_LIMIT: usize = 4096;
/// Longer than any address of an API.
const RESOURCE_LIMIT: usize = 2048;

/// What a token must be good for. It may be good for more.
#[derive(Clone, Copy, Default)]
pub(super) struct Purpose<'a> {
    /// Scopes, space separated (RFC 6749 section 3.3).
    pub(super) scope: Option<&'a str>,
    /// Where it is to be presented (RFC 8707).
    pub(super) resource: Option<&'a str>,
}

impl Purpose<'_> {
    /// Whether it can be the purpose of any token: a problem says it word for word, so it has to fit.
    pub(super) fn check_form(&self) -> Result<(), Problem> {
        for (what, text, limit) in [("scope", self.scope, SCOPE_LIMIT), ("resource", self.resource, RESOURCE_LIMIT)] {
            if text.is_some_and(|text| text.len() > limit) {
                return Err(Problem::new(Code::BadRequest, format!("{what} is too long; {limit} bytes are allowed")));
            }
        }
        Ok(())
    }

    /// Whether the token at hand is good for it.
    pub(super) fn check(&self, live: &Live) -> Result<(), Problem> {
        let has = |scope: &&str| has_scope(&live.scope, scope);
        if let Some(missing) = self.scope.unwrap_or_default().split_whitespace().find(|scope| !has(scope)) {
            return Err(lacks("scopes", &format!("has no scope {missing:?}; it has {:?}", live.scope), live));
        }
        match self.resource {
            Some(resource) if !live.resource.iter().any(|asked| asked == resource) => {
                let instead = match live.resource.as_slice() {
                    [] => "none was asked for".to_owned(),
                    asked => format!("it is for {}", asked.join(", ")),
                };
                Err(lacks("resource", &format!("is not for the resource {resource:?}; {instead}"), live))
            }
            _ => Ok(()),
        }
    }
}

fn lacks(key: &str, what: &str, live: &Live) -> Problem {
    let next = match &live.owner {
        Owner::Account(name) => {
            format!(
                "add it to {key} of service account {name} in the configuration; if it is there, {} does not grant it",
                live.provider
            )
        }
        Owner::Uid(_) | Owner::Unit { .. } => {
            format!("add it to {key} of provider {} in the configuration, and log in again", live.provider)
        }
    };
    Problem::new(Code::BadRequest, format!("the token {what}; {next}"))
}
