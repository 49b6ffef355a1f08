//! `tokenkeeper sessions`: the sessions that one may see, one line each. Also how a session looks at a glance, for `session`.

use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use serde::Serialize;
use tokenkeeper_client::reply::{SessionState, SessionSummary};
use tokenkeeper_client::{ProviderName, SessionsRequest, UnixSeconds, UserName};
use tokenkeeper_protocol::json;

use crate::context::{Context, tell};
use crate::escape::{plain, plain_or_dash};
use crate::failure::Failure;
use crate::moment::Calendar;
use crate::table::{Cell, Table};
use crate::{color, complete};

/// Characters of a reason that the table has room for; `tokenkeeper session` shows all of it.
const LONGEST_REASON: usize = 60;

const EXAMPLES: &str = "\
Examples:
  tokenkeeper sessions
  tokenkeeper sessions --provider corp --user alice
  tokenkeeper sessions --json | jq -r '.sessions[] | select(.state == \"needs_login\") | .session'

Exit status: 0 done, 4 no such provider, 69 daemon not reachable, 77 refused.";

/// List the sessions you may see
///
/// REF is what other commands call a session. TOKEN is how long the access token is still valid; it is refreshed before that ends.
/// ENDS is the day on which the user must log in again. A user whose name begins with @ is a service account of the configuration.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Sessions {
    /// Only sessions at this provider
    #[arg(long, value_name = "NAME", add = ArgValueCandidates::new(complete::providers))]
    provider: Option<ProviderName>,

    /// Only sessions of this user
    #[arg(long, value_name = "NAME")]
    user: Option<UserName>,
}

impl Sessions {
    pub(crate) fn run(&self, context: &Context) -> Result<u8, Failure> {
        let request = SessionsRequest { provider: self.provider.clone(), user: self.user.clone(), cursor: None };
        let mut client = context.connect()?;
        let found: Result<Vec<SessionSummary>, _> = client.all_sessions(request).collect();
        let found = found.map_err(|error| Failure::at(error, self.provider.as_ref()))?;
        if found.is_empty() && !context.json {
            let wanted_some = self.provider.is_some() || self.user.is_some();
            tell(if wanted_some {
                "No such sessions. All that you may see are listed by: tokenkeeper sessions"
            } else {
                "No sessions. Log in with: tokenkeeper login PROVIDER"
            });
            return Ok(0);
        }
        let object = Object { sessions: found.iter().map(json::SessionSummary::from).collect() };
        context.answer(table(&found, &Calendar::here()), &object)?;
        Ok(0)
    }
}

fn table<Zone: chrono::TimeZone<Offset: std::fmt::Display>>(
    found: &[SessionSummary],
    calendar: &Calendar<Zone>,
) -> Table {
    let head = ["REF", "USER", "PROVIDER", "DEVICE", "OPENED BY", "STATE", "TOKEN", "ENDS"];
    let mut table = Table::headed(head);
    for session in found {
        let active = session.state == SessionState::Active;
        let token = |at: UnixSeconds| calendar.left(at).unwrap_or_else(|| "expired".to_owned());
        table.row([
            session.session.to_string().into(),
            plain(session.user.as_str()).into(),
            session.provider.to_string().into(),
            plain_or_dash(session.device.as_deref()).into(),
            plain(&session.opened_by).into(),
            state(&session.state, calendar, LONGEST_REASON),
            session.token_expires_at.filter(|_| active).map_or_else(|| "-".to_owned(), token).into(),
            if active { end(session.ends_at, |at| calendar.day(at)) } else { "-".to_owned() }.into(),
        ]);
    }
    table
}

/// When a session ends; that of a service account does not.
pub(super) fn end(at: UnixSeconds, tell: impl Fn(UnixSeconds) -> String) -> String {
    if at == UnixSeconds::NEVER { "-".to_owned() } else { tell(at) }
}

/// `active`, or what it is instead, why in so many characters, and since when.
pub(super) fn state<Zone: chrono::TimeZone<Offset: std::fmt::Display>>(
    state: &SessionState,
    calendar: &Calendar<Zone>,
    longest: usize,
) -> Cell {
    let with = |what: &str, reason: &str, since: UnixSeconds| {
        format!("{what} ({} {})", shortened(&plain(reason), longest), calendar.brief(since))
    };
    match state {
        SessionState::Active => Cell("active".to_owned(), color::GOOD),
        SessionState::NeedsLogin { reason, since } => Cell(with("needs login", reason, *since), color::FAIR),
        SessionState::Ended { reason, since } => Cell(with("ended", reason, *since), color::FAINT),
    }
}

fn shortened(text: &str, longest: usize) -> String {
    match text.char_indices().nth(longest) {
        Some((end, _)) => format!("{}…", text[..end].trim_end()),
        None => text.to_owned(),
    }
}

#[derive(Serialize)]
struct Object<'a> {
    sessions: Vec<json::SessionSummary<'a>>,
}

#[cfg(test)]
mod tests {
    use chrono::Utc;

    use super::*;

    /// 2023-11-14T22:13:20Z.
    const NOW: i64 = 1_700_000_000;

    #[test]
    fn sessions_look_as_the_documentation_shows_them() {
        let active = SessionSummary {
            session: "7k3vq2mx".parse().unwrap(),
            provider: "corp".parse().unwrap(),
            user: "alice".parse().unwrap(),
            device: Some("laptop".to_owned()),
            opened_by: "shop.service".to_owned(),
            state: SessionState::Active,
            token_expires_at: Some(UnixSeconds(NOW + 43 * 60)),
            ends_at: UnixSeconds(NOW + 28 * 86_400),
        };
        let lost = SessionSummary {
            session: "b91xw0tz".parse().unwrap(),
            user: "b\u{202e}ob".parse().unwrap(),
            device: None,
            state: SessionState::NeedsLogin { reason: "revoked".to_owned(), since: UnixSeconds(NOW - 3600) },
            ..active.clone()
        };
        let account = SessionSummary {
            session: "m40c8ffe".parse().unwrap(),
            user: "@nightly".parse().unwrap(),
            device: None,
            opened_by: "config".to_owned(),
            token_expires_at: Some(UnixSeconds(NOW + 58 * 60)),
            ends_at: UnixSeconds::NEVER,
            ..active.clone()
        };
        let text = table(&[active, lost, account], &Calendar { now: UnixSeconds(NOW), zone: Utc }).to_string();
        let text = anstream::adapter::strip_str(&text).to_string();
        let expected = "\
REF       USER         PROVIDER  DEVICE  OPENED BY     STATE                        TOKEN  ENDS
7k3vq2mx  alice        corp      laptop  shop.service  active                       43m    12 Dec
b91xw0tz  b\\u{202e}ob  corp      -       shop.service  needs login (revoked 21:13)  -      -
m40c8ffe  @nightly     corp      -       config        active                       58m    -
";
        assert_eq!(text, expected);
    }
}
