//! Scopes that were wanted and are not granted: the tokens work, but not for everything, and nobody would know why.

use tokenkeeper_protocol::SessionRef;

use crate::audit::What;
use crate::domain::{Session, Tokens, has_scope};

/// The event that tells of it, if a login was granted less than `session` was to have.
pub(super) fn at_login(session: &Session) -> Option<What> {
    event(session, &missing(session.scopes.iter().map(String::as_str), session.tokens.as_ref()?))
}

/// The same for a refresh that brought less than there was `before`.
pub(super) fn at_refresh(before: &Tokens, session: &Session) -> Option<What> {
    event(session, &missing(before.access.scope.split(' '), session.tokens.as_ref()?))
}

fn event(session: &Session, missing: &[&str]) -> Option<What> {
    let (id, provider): (SessionRef, _) = (session.id, session.provider.clone());
    (!missing.is_empty()).then(|| What::ScopeNarrowed { session: id, provider, missing: missing.join(" ") })
}

/// Two scopes show by what came, an ID token and a refresh token: some providers do not list them. Others list the second and
/// give no refresh token all the same.
fn missing<'a>(wanted: impl Iterator<Item = &'a str>, tokens: &Tokens) -> Vec<&'a str> {
    let is_granted = |wanted: &str| match wanted {
        "openid" if tokens.id.is_some() => true,
        "offline_access" => tokens.refresh.is_some(),
        _ => has_scope(&tokens.access.scope, wanted),
    };
    wanted.filter(|wanted| !wanted.is_empty() && !is_granted(wanted)).collect()
}

#[cfg(test)]
mod tests {
    use tokenkeeper_protocol::{Secret, UnixSeconds};

    use super::*;
    use crate::domain::AccessToken;

    fn tokens(scope: &str, more: bool) -> Tokens {
        let more = || more.then(|| Secret::from("another"));
        let (obtained_at, expires_at) = (UnixSeconds(0), UnixSeconds(60));
        let token_type = "Bearer".to_owned();
        let access = AccessToken { token: "at".into(), token_type, scope: scope.to_owned(), obtained_at, expires_at };
        Tokens { access, refresh: more(), id: more(), refresh_life: None }
    }

    #[test]
    fn what_was_wanted_and_not_granted_is_missing() {
        let wanted = ["openid", "offline_access", "mail", "files"];
        assert_eq!(missing(wanted.into_iter(), &tokens("files mail", true)), [""; 0]);
        assert_eq!(missing(wanted.into_iter(), &tokens("files", true)), ["mail"]);
        assert_eq!(missing(wanted.into_iter(), &tokens("files mail", false)), ["openid", "offline_access"]);
        assert_eq!(missing(wanted.into_iter(), &tokens("openid offline_access mail files", false)), ["offline_access"]);
        assert_eq!(missing("".split(' '), &tokens("", false)), [""; 0]);
    }
}
