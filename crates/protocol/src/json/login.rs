//! The two halves of a login.

use serde::Serialize;

use super::rfc3339;
use crate::reply;

/// View of a [`reply::LoginBegun`]. The id completes the login, and the address carries `state`: do not log them.
#[derive(Serialize)]
pub struct LoginBegun<'a> {
    login_id: String,
    authorize_url: &'a str,
    expires_at: String,
}

impl<'a> From<&'a reply::LoginBegun> for LoginBegun<'a> {
    fn from(begun: &'a reply::LoginBegun) -> Self {
        Self {
            login_id: begun.login_id.expose(),
            authorize_url: begun.authorize_url.expose(),
            expires_at: rfc3339(begun.expires_at),
        }
    }
}

/// View of a [`reply::LoggedIn`].
#[derive(Serialize)]
pub struct LoggedIn<'a> {
    session: &'a str,
    provider: &'a str,
    user: User<'a>,
    acr: Option<&'a str>,
    amr: &'a [String],
    auth_time: Option<String>,
    ends_at: String,
}

impl<'a> From<&'a reply::LoggedIn> for LoggedIn<'a> {
    fn from(it: &'a reply::LoggedIn) -> Self {
        Self {
            session: it.session.as_str(),
            provider: it.provider.as_str(),
            user: User::from(&it.user),
            acr: it.authentication.acr.as_deref(),
            amr: &it.authentication.amr,
            auth_time: it.authentication.auth_time.map(rfc3339),
            ends_at: rfc3339(it.ends_at),
        }
    }
}

/// View of a [`reply::UserInfo`].
#[derive(Serialize)]
pub struct User<'a> {
    name: &'a str,
    subject: &'a str,
    issuer: &'a str,
    email: Option<&'a str>,
}

impl<'a> From<&'a reply::UserInfo> for User<'a> {
    fn from(user: &'a reply::UserInfo) -> Self {
        Self { name: user.name.as_str(), subject: &user.subject, issuer: &user.issuer, email: user.email.as_deref() }
    }
}
