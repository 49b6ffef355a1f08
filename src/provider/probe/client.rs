//! Our registration: what is configured of it, and whether the provider accepts it.

use tokenkeeper_protocol::UnixSeconds;

use super::super::fault::words;
use super::super::http::Unanswered;
use super::super::metadata::Metadata;
use super::super::token_answer::{self, Reading};
use super::super::{Fault, Place, Provider};
use super::{Found, failed, passed, warned};
use crate::config::settings::{ClientAuthentication, ProviderSettings};

/// A refresh token that no provider ever gave out. It says in the provider's log what it is.
const MADE_UP: &str = "tokenkeeper-provider-test-this-is-not-a-token";

/// Of an answer from which it does not follow.
const UNTOLD: &str = "whether it accepts the client cannot be told from that; a login, or a service account, will show";

/// What is configured.
pub(super) fn configured(settings: &ProviderSettings) -> Found {
    let (name, client_id) = (&settings.name, &settings.client_id);
    let Some(secret) = &settings.client_secret else {
        return passed(format!("client_id {client_id}, a public client: no secret"));
    };
    if secret.expose().trim().len() != secret.len() {
        let next = format!("if it was pasted so by mistake: tokenkeeper provider set-secret {name}");
        return warned(format!("client_id {client_id}; the client secret begins or ends with a blank; {next}"));
    }
    let how = match settings.client_authentication {
        ClientAuthentication::Basic => "in a header (basic)",
        ClientAuthentication::Post => "in the form (post)",
        ClientAuthentication::None => "never",
    };
    passed(format!("client_id {client_id}, client secret present, sent {how}"))
}

/// Whether the token endpoint accepts our client: one POST, with a refresh token that never existed.
///
/// A client must be authenticated before its token is looked at (RFC 6749 section 5.2): `invalid_grant` then says that it was.
pub(super) async fn accepted(provider: &Provider, metadata: &Metadata, now: UnixSeconds) -> Found {
    let fields = [("grant_type", "refresh_token"), ("refresh_token", MADE_UP)];
    let answer = match provider.post(Place::Token, &metadata.token, &fields, &provider.secrets, now).await {
        Ok(answer) => answer,
        Err(Unanswered::NotSent(fault) | Unanswered::Lost(fault)) => return failed(fault.to_string()),
    };
    match token_answer::read(&answer) {
        Ok(Reading::Said { error, description, .. }) => {
            judge(provider, answer.status.as_u16(), &error, description.as_deref())
        }
        // What it gave is dropped, and wiped with that.
        Ok(Reading::Granted(_)) => {
            warned("the token endpoint gave tokens for a refresh token that was made up: do not trust this provider")
        }
        Err(fault @ Fault::Unread { .. }) => failed(format!("{fault}; try again later")),
        Err(fault) => match answer.status.as_u16() {
            // Glewlwyd says no more of a token that it does not know, nor of a wrong secret.
            400 => warned(format!("{fault}: {UNTOLD}")),
            status @ (401 | 403) => {
                failed(format!("{} answered HTTP {status} without saying why; {}", Place::Token, mend(provider)))
            }
            500.. => failed(format!("{fault}; try again later")),
            _ => failed(fault.to_string()),
        },
    }
}

fn judge(provider: &Provider, status: u16, error: &str, description: Option<&str>) -> Found {
    let said = format!("{} answered {}", Place::Token, words(error, description));
    match error {
        // The second is GitHub's name for it.
        "invalid_grant" | "bad_refresh_token" => passed("accepted by the token endpoint"),
        own if provider.settings().refused.iter().any(|refused| refused == own) => {
            passed("accepted by the token endpoint")
        }
        "invalid_client" | "incorrect_client_credentials" => failed(format!("{said}; {}", mend(provider))),
        // With 401 it is Keycloak's word for a wrong secret.
        "unauthorized_client" if status != 401 => warned(format!(
            "{said}: the client is known, but may not refresh tokens; allow it the grant type refresh_token at the provider"
        )),
        "unsupported_grant_type" => warned(format!(
            "{said}: the provider refreshes no tokens, so that users log in again whenever one expires; whether it accepts the client cannot be told"
        )),
        _ if status == 401 => failed(format!("{said}; {}", mend(provider))),
        _ if status >= 500 => failed(format!("{said}; try again later")),
        _ => warned(format!("{said}: {UNTOLD}")),
    }
}

/// What to do when the client is not accepted.
fn mend(provider: &Provider) -> String {
    let settings = provider.settings();
    let (name, client_id) = (&settings.name, &settings.client_id);
    match (&settings.client_secret, settings.client_authentication) {
        (None, _) => format!(
            "the provider does not know {client_id:?} as a public client; check client_id, or set a secret: tokenkeeper provider set-secret {name}"
        ),
        (Some(_), how) => {
            let other = if how == ClientAuthentication::Post { "basic" } else { "post" };
            format!(
                "check client_id {client_id:?} and set its secret anew: tokenkeeper provider set-secret {name}; some providers want client_authentication = {other:?}"
            )
        }
    }
}

/// Where the configuration describes the provider, nothing tells what it says to a client it does not know.
pub(super) fn untried() -> Found {
    warned("whether this provider accepts the client is seen at a login only")
}
