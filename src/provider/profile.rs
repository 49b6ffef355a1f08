//! Who a user is, from the claims of an ID token and from the userinfo endpoint (OpenID Connect Core 5.3).

use serde_json::{Map, Value};
use tokenkeeper_protocol::reply::UserInfo;
use tokenkeeper_protocol::{UnixSeconds, UserName};

use super::id_token::SUBJECT_LIMIT;
use super::metadata::Metadata;
use super::token_answer::Granted;
use super::words::plain;
use super::{Fault, LoginFault, Provider};
use crate::config::settings::ProviderKind;

/// RFC 5321 section 4.5.3.1: 64 before the @ and 255 after it.
const EMAIL_LIMIT: usize = 320;

/// That of [`UserName`].
const NAME_LIMIT: usize = 256;

/// What a set of claims tells about a user.
#[derive(Debug, Default)]
struct Profile {
    name: Option<UserName>,
    email: Option<String>,
}

impl Profile {
    fn read(claims: &Map<String, Value>, user_name_claim: &str) -> Self {
        let text = |claim: &str| claims.get(claim).and_then(Value::as_str);
        Self {
            name: text(user_name_claim)
                .and_then(|name| plain(name, NAME_LIMIT).filter(|name| !is_of_account(name))?.parse().ok()),
            email: text("email").and_then(|email| plain(email, EMAIL_LIMIT)),
        }
    }

    fn is_complete(&self) -> bool {
        self.name.is_some() && self.email.is_some()
    }

    fn or(self, other: Self) -> Self {
        Self { name: self.name.or(other.name), email: self.email.or(other.email) }
    }

    fn of(self, subject: String, issuer: &str) -> Result<UserInfo, LoginFault> {
        let name = self.name.map_or_else(|| subject.parse(), Ok).map_err(|_| LoginFault::NoSubject)?;
        if is_of_account(name.as_str()) {
            return Err(LoginFault::NameOfAccount(name));
        }
        Ok(UserInfo { name, subject, issuer: issuer.to_owned(), email: self.email })
    }
}

impl Provider {
    /// The user of a verified ID token. What it does not tell is asked of the userinfo endpoint, where there is one.
    pub(super) async fn user_of_claims(
        &self,
        metadata: &Metadata,
        claims: &Map<String, Value>,
        subject: String,
        granted: &Granted,
        now: UnixSeconds,
    ) -> Result<UserInfo, LoginFault> {
        let claim = &self.settings().user_name_claim;
        let mut profile = Profile::read(claims, claim);
        if !profile.is_complete() && metadata.userinfo.is_some() {
            match self.claims_for(metadata, granted, now).await {
                // OpenID Connect Core 5.3.2: else it may be about anyone.
                Ok(more) if more.get("sub").and_then(self::subject).as_ref() != Some(&subject) => {
                    return Err(Fault::AnotherUser.into());
                }
                Ok(more) => profile = profile.or(Profile::read(&more, claim)),
                // A session can do without an address, but a name must not depend on whether the provider has a good day:
                // it is bound to the user at the first login.
                Err(fault) if profile.name.is_none() => return Err(fault.into()),
                Err(_) => {}
            }
        }
        profile.of(subject, &metadata.issuer)
    }

    /// The user that tokens are of, at a provider without ID tokens: told with them, or for the access token.
    pub(super) async fn user_of_token(
        &self,
        metadata: &Metadata,
        granted: &Granted,
        now: UnixSeconds,
    ) -> Result<UserInfo, LoginFault> {
        let subject_claim = match &self.settings().kind {
            ProviderKind::Oauth2(endpoints) => endpoints.subject_claim.as_str(),
            ProviderKind::Oidc { .. } | ProviderKind::Custom(_) => "sub",
        };
        let claims = if granted.claims.contains_key("sub") {
            granted.claims.clone()
        } else {
            self.claims_for(metadata, granted, now).await?
        };
        let subject = claims.get(subject_claim).and_then(subject).ok_or(LoginFault::NoSubject)?;
        Profile::read(&claims, &self.settings().user_name_claim).of(subject, &metadata.issuer)
    }
}

/// Names that begin so are those of service accounts, in lists and in rules: no user gets one, whatever the provider says.
fn is_of_account(name: &str) -> bool {
    name.starts_with('@')
}

/// A subject that never changes: a text, or a whole number as some providers count their users.
fn subject(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => plain(text, SUBJECT_LIMIT),
        Value::Number(number) if number.is_u64() || number.is_i64() => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn subjects_are_texts_or_whole_numbers() {
        assert_eq!(subject(&json!("u-1")).as_deref(), Some("u-1"));
        assert_eq!(subject(&json!(583_231)).as_deref(), Some("583231"));
        for wrong in [json!(""), json!(1.5), json!(null), json!(["u"]), json!("a\nb"), json!("x".repeat(256))] {
            assert_eq!(subject(&wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_user_without_a_usable_name_is_called_by_the_subject() {
        for name in [json!(null), json!("a\u{202e}b"), json!(7), json!("@nightly")] {
            let claims = json!({ "preferred_username": name });
            let claims = claims.as_object().expect("an object");
            let user = Profile::read(claims, "preferred_username").of("u-1".to_owned(), "iss").expect("a user");
            assert_eq!(user.name.as_str(), "u-1");
        }
    }

    #[test]
    fn nobody_who_logs_in_is_called_like_a_service_account() {
        let refused = Profile::default().of("@nightly".to_owned(), "iss").expect_err("a refusal");
        assert!(refused.to_string().contains("\"@nightly\""), "{refused}");
    }
}
