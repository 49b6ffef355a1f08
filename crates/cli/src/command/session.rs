//! `tokenkeeper session`: everything that one may know of one session.

use std::fmt::Display;

use chrono::TimeZone;
use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use tokenkeeper_client::SessionRef;
use tokenkeeper_client::reply::{SessionDetail, SessionState, UserInfo};
use tokenkeeper_protocol::{UnixSeconds, json};

use super::sessions::{end, state};
use crate::complete;
use crate::context::Context;
use crate::escape::{plain, plain_or_dash};
use crate::failure::Failure;
use crate::moment::Calendar;
use crate::table::Table;

const EXAMPLES: &str = "\
Example:
  tokenkeeper session 7k3vq2mx

Exit status: 0 done, 4 no such session, 69 daemon not reachable, 77 refused.";

/// Show one session
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Session {
    /// The session, as `tokenkeeper sessions` calls it
    #[arg(value_name = "REF", add = ArgValueCandidates::new(complete::sessions))]
    session: SessionRef,
}

impl Session {
    pub(crate) fn run(&self, context: &Context) -> Result<u8, Failure> {
        let detail = context.connect()?.session(self.session)?;
        context.answer(describe(&detail, &Calendar::here()), &json::Session::from(&detail))?;
        Ok(0)
    }
}

fn describe<Zone: TimeZone<Offset: Display>>(detail: &SessionDetail, calendar: &Calendar<Zone>) -> Table {
    let summary = &detail.summary;
    let mut table = Table::default();
    table.row(["session".into(), summary.session.to_string().into()]);
    table.row(["provider".into(), summary.provider.to_string().into()]);
    table.row(["user".into(), who(&detail.user).into()]);
    table.row(["device".into(), plain_or_dash(summary.device.as_deref()).into()]);
    let opened = format!("{} by {}", calendar.full(detail.opened_at), plain(&summary.opened_by));
    table.row(["opened".into(), opened.into()]);
    table.row(["login".into(), authentication(detail, calendar).into()]);
    table.row(["state".into(), state(&summary.state, calendar, usize::MAX)]);
    table.row(["token".into(), token(detail, calendar).into()]);
    table.row(["scope".into(), if detail.scope.is_empty() { "-".into() } else { plain(&detail.scope).into() }]);
    table.row(["refresh".into(), refresh(detail, calendar).into()]);
    if let Some(failure) = &detail.last_failure {
        table.row(["".into(), format!("last try failed: {}", plain(failure)).into()]);
    }
    table.row(["ends".into(), end(summary.ends_at, |at| calendar.full(at)).into()]);
    table
}

fn who(user: &UserInfo) -> String {
    let email = user.email.as_deref().map(|email| format!(" <{}>", plain(email))).unwrap_or_default();
    format!("{}{email}, subject {} of {}", plain(user.name.as_str()), plain(&user.subject), plain(&user.issuer))
}

fn authentication<Zone: TimeZone<Offset: Display>>(detail: &SessionDetail, calendar: &Calendar<Zone>) -> String {
    let told = &detail.authentication;
    let when = told.auth_time.map(|at| calendar.full(at));
    let methods = Some(told.amr.join(" ")).filter(|amr| !amr.is_empty()).map(|amr| format!("by {}", plain(&amr)));
    let class = told.acr.as_deref().map(|acr| format!("class {}", plain(acr)));
    let parts: Vec<String> = [when, methods, class].into_iter().flatten().collect();
    if !parts.is_empty() {
        parts.join(", ")
    } else if detail.summary.ends_at == UnixSeconds::NEVER {
        "none: nobody logs in to a service account".to_owned()
    } else {
        "the provider does not tell how".to_owned()
    }
}

fn token<Zone: TimeZone<Offset: Display>>(detail: &SessionDetail, calendar: &Calendar<Zone>) -> String {
    let Some(expires_at) = detail.summary.token_expires_at else { return "none".to_owned() };
    let until = calendar.full(expires_at);
    let validity = match calendar.left(expires_at) {
        Some(left) => format!("valid for {left}, until {until}"),
        None => format!("expired {until}"),
    };
    let obtained = detail.token_obtained_at.map(|at| format!(", obtained {}", calendar.full(at))).unwrap_or_default();
    validity + &obtained
}

fn refresh<Zone: TimeZone<Offset: Display>>(detail: &SessionDetail, calendar: &Calendar<Zone>) -> String {
    if detail.summary.state != SessionState::Active {
        return "not any more".to_owned();
    }
    if !detail.refreshable {
        return "not possible: the provider gave no refresh token".to_owned();
    }
    let due = detail.refresh_due_at.map(|at| format!("due {}, ", calendar.full(at))).unwrap_or_default();
    format!("{due}{} done so far", detail.refreshes)
}
