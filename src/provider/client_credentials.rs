//! Tokens of a service account (RFC 6749 section 4.4): one POST with our own credentials and nobody else's.
//!
//! Answers are judged like those to a refresh. Nothing is spent here, so there is nothing that could be lost.

use tokenkeeper_protocol::UnixSeconds;

use super::dialect::Spoken;
use super::http::Unanswered;
use super::refresh::{RefreshOutcome, Verdict, judge};
use super::token_answer::{self, Fallback};
use super::{Fault, Place, Provider};
use crate::domain::Tokens;

impl Provider {
    /// Obtains tokens for our registration itself. [`RefreshOutcome::Refused`] and [`RefreshOutcome::Unknown`] do not come: no
    /// user can mend a refusal, and a lost answer costs nothing.
    ///
    /// # Cancel safety
    /// Safe: it can be repeated at will.
    pub async fn client_credentials(&self, scopes: &[String], resource: &[String], now: UnixSeconds) -> RefreshOutcome {
        let outcome = nothing_spent(self.try_client_credentials(scopes, resource, now).await);
        self.remember(&outcome, now);
        outcome
    }

    async fn try_client_credentials(&self, scopes: &[String], resource: &[String], now: UnixSeconds) -> RefreshOutcome {
        let metadata = match self.metadata(now).await {
            Ok(metadata) => metadata,
            Err(fault) if fault.needs_administrator() => return RefreshOutcome::Misconfigured(fault),
            Err(fault) => return RefreshOutcome::NotSent(fault),
        };
        let scope = scopes.join(" ");
        let mut fields = vec![("grant_type", "client_credentials")];
        fields.extend((!scope.is_empty()).then_some(("scope", scope.as_str())));
        fields.extend(resource.iter().map(|resource| ("resource", resource.as_str())));
        let answer = match self.post(Place::Token, &metadata.token, &fields, &self.secrets, now).await {
            Err(Unanswered::NotSent(fault)) => return RefreshOutcome::NotSent(fault),
            Err(Unanswered::Lost(fault)) => return RefreshOutcome::Unknown(fault),
            Ok(answer) => answer,
        };
        let spoken = Spoken { reading: token_answer::read(&answer), answer, told: None };
        match judge(spoken) {
            Verdict::Settled(outcome) => outcome,
            Verdict::Granted(granted) => {
                let fallback = Fallback { scope: &scope, life: self.settings().default_life };
                let tokens = granted.into_tokens(fallback, now);
                // Section 4.4.3: no refresh token belongs here. One that comes all the same is not kept: it would outlive its use.
                RefreshOutcome::Renewed(Tokens { refresh: None, id: None, refresh_life: None, ..tokens })
            }
        }
    }
}

fn nothing_spent(outcome: RefreshOutcome) -> RefreshOutcome {
    match outcome {
        RefreshOutcome::Unknown(fault) => RefreshOutcome::Transient { fault, retry_after: None },
        RefreshOutcome::Refused { error, description, .. }
        | RefreshOutcome::Misconfigured(Fault::Unfamiliar { error, description }) => {
            RefreshOutcome::Misconfigured(Fault::Said { place: Place::Token, error, description })
        }
        RefreshOutcome::Transient { fault: Fault::Unexplained, retry_after } => {
            RefreshOutcome::Transient { fault: Fault::Status { place: Place::Token, status: 400 }, retry_after }
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::provider::scripted::{NOW, Reply, Server};

    async fn obtain(server: &Server, scopes: &[&str], resource: &[&str]) -> RefreshOutcome {
        let owned = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        server.provider().client_credentials(&owned(scopes), &owned(resource), NOW).await
    }

    async fn answered(reply: Reply) -> RefreshOutcome {
        let server = Server::oidc().await;
        server.script("/token", reply);
        obtain(&server, &["reports"], &[]).await
    }

    #[tokio::test]
    async fn we_present_ourselves_and_ask_for_what_is_configured() {
        let server = Server::oidc().await;
        let body = json!({"access_token": "at", "expires_in": 300, "refresh_token": "rt-0123456789", "id_token": "x"});
        server.script("/token", Reply::json(200, &body));
        let outcome = obtain(&server, &["reports", "mail"], &["https://a.example", "urn:b:c"]).await;
        let RefreshOutcome::Renewed(tokens) = outcome else { panic!("{outcome:?}") };
        assert_eq!((tokens.access.token.expose(), tokens.access.scope.as_str()), ("at", "reports mail"));
        assert_eq!(tokens.access.life().as_secs(), 300);
        assert_eq!((tokens.refresh, tokens.id), (None, None), "neither was asked for");
        let requests = server.requests("/token");
        let [request] = requests.as_slice() else { panic!("{requests:?}") };
        assert_eq!(
            request.body,
            "grant_type=client_credentials&scope=reports+mail&resource=https%3A%2F%2Fa.example&resource=urn%3Ab%3Ac"
        );
        assert!(request.head.to_ascii_lowercase().contains("authorization: basic "));
    }

    #[tokio::test]
    async fn without_scopes_the_provider_decides() {
        let server = Server::oauth2().await;
        server.script("/token", Reply::json(200, &json!({"access_token": "at", "scope": "all"})));
        let RefreshOutcome::Renewed(tokens) = obtain(&server, &[], &[]).await else { panic!("no tokens") };
        assert_eq!(tokens.access.scope, "all");
        assert_eq!(server.requests("/token")[0].body, "grant_type=client_credentials");
    }

    #[tokio::test]
    async fn what_the_provider_does_not_accept_is_for_an_administrator() {
        for error in ["invalid_client", "unauthorized_client", "invalid_scope", "invalid_target", "invalid_grant"] {
            let outcome = answered(Reply::json(400, &json!({ "error": error }))).await;
            let RefreshOutcome::Misconfigured(fault) = outcome else { panic!("{error}: {outcome:?}") };
            assert!(fault.to_string().contains(error), "{fault}");
        }
    }

    #[tokio::test]
    async fn a_lost_or_unusable_answer_is_asked_for_again() {
        for reply in [Reply::HangUpAfter, Reply::text(504, "text/html", ""), Reply::json(200, &json!({}))] {
            let outcome = answered(reply.clone()).await;
            assert!(matches!(outcome, RefreshOutcome::Transient { .. }), "{reply:?}: {outcome:?}");
        }
    }

    #[tokio::test]
    async fn a_provider_that_quotes_our_secret_does_not_get_it_into_a_message() {
        let body = json!({"error": "invalid_client", "error_description": "s3cr3t is not the secret of shop"});
        let outcome = answered(Reply::json(401, &body)).await;
        let RefreshOutcome::Misconfigured(fault) = outcome else { panic!("{outcome:?}") };
        assert!(fault.to_string().contains("[redacted] is not the secret"), "{fault}");
    }
}
