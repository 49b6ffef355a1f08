//! `tokenkeeper erase`: what is kept of a user, or of one session, is erased for good.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use tokenkeeper_client::reply::{Erasure, ErasureStage};
use tokenkeeper_client::{Erase as Request, EraseBegin, Erased, ProviderName, SessionRef, UserName};
use tokenkeeper_protocol::json;

use crate::context::{Context, tell};
use crate::escape::plain;
use crate::failure::Failure;
use crate::{clock, complete, exit};

/// How often the daemon is asked how far it is.
const PAUSE: Duration = Duration::from_millis(250);
/// Answers in a row that say that it waits, before we leave it to the daemon: 15 seconds.
const PATIENCE: u32 = 60;

const EXAMPLES: &str = "\
Examples:
  sudo tokenkeeper erase corp --user alice
  sudo tokenkeeper erase corp --subject 5ee2a7 --yes --json
  sudo tokenkeeper erase --session 7k3vq2mx
  sudo tokenkeeper erase corp --user alice --forced && sudo tokenkeeperd setup --rekey && sudo systemctl restart tokenkeeperd

Exit status: 0 erased, 4 nothing is kept of that user, 64 nobody is there to confirm it, 69 daemon not reachable,
75 NOT erased yet: the daemon goes on trying, 77 refused, 130 you said no.";

/// That there are three ways to say whom is beyond what clap finds out by itself.
const USAGE: &str = "\
tokenkeeper erase <PROVIDER> --user <NAME> [OPTIONS]
       tokenkeeper erase <PROVIDER> --subject <SUB> [--issuer <ISS>] [OPTIONS]
       tokenkeeper erase --session <REF> [OPTIONS]";

/// Erase everything that is kept of a user
///
/// Ends all sessions of the user at the provider, has their tokens revoked, and removes them with their histories, with logins under way
/// and with what the user is called. Then it writes the files of the store anew, so that nothing of it is left in them. That takes a
/// while; others are served meanwhile. It goes on if you stop waiting, and over a restart of the daemon.
///
/// It does not reach backups, copies and snapshots of the disk, records that syslog has, and what the provider keeps.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, override_usage = USAGE)]
pub(crate) struct Erase {
    /// Where the user is
    #[arg(required_unless_present = "session", conflicts_with = "session", requires = "who")]
    #[arg(add = ArgValueCandidates::new(complete::providers))]
    provider: Option<ProviderName>,

    /// The user, by name
    #[arg(long, value_name = "NAME", group = "who")]
    user: Option<UserName>,

    /// The user, as the provider knows them
    #[arg(long, value_name = "SUB", group = "who")]
    subject: Option<String>,

    /// Who says so [default: the issuer of the provider]
    #[arg(long, value_name = "ISS", requires = "subject")]
    issuer: Option<String>,

    /// One session, as `tokenkeeper sessions` calls it; the user's name stays
    #[arg(long, value_name = "REF", group = "who", add = ArgValueCandidates::new(complete::sessions))]
    session: Option<SessionRef>,

    /// Destroy the key of the records as well, so that blocks of removed files open with no key
    #[arg(long)]
    forced: bool,

    /// Do not wait until the provider has revoked the tokens: they live until they expire
    #[arg(long)]
    now: bool,

    /// Do not ask whether you are sure
    #[arg(long, short)]
    yes: bool,
}

impl Erase {
    pub(crate) fn run(&self, context: &Context) -> Result<u8, Failure> {
        let Some(whom) = self.whom() else { return Ok(exit::USAGE) };
        if !self.yes {
            self.confirm(&whom)?;
        }
        let begin = EraseBegin { whom, forced: self.forced, at_once: self.now };
        let first = context.connect()?.erase(Request::Begin(begin));
        let mut now = first.map_err(|error| Failure::at(error, self.provider.as_ref()))?;
        let mut told = String::new();
        let (is_watched, mut waited) = (io::stderr().is_terminal() && !context.json, 0);
        if is_watched && !is_over(&now) {
            tell("You may press Ctrl-C: it goes on by itself.");
        }
        while !is_over(&now) && waited < PATIENCE {
            let line = describe_stage(&now);
            if is_watched && line != told {
                tell(&line);
                told = line;
            }
            clock::pause(PAUSE);
            match progress(context, &now.id) {
                Ok(found) => {
                    waited = if found.waiting.is_some() { waited + 1 } else { 0 };
                    now = found;
                }
                // It is restarted, or busy: the erasure outlives that.
                Err(failure) if failure.may_pass() => waited += 1,
                Err(failure) => return Err(failure),
            }
        }
        context.answer(describe(&now), &json::Erasure::from(&now))?;
        Ok(if is_over(&now) { 0 } else { exit::TRY_LATER })
    }

    fn whom(&self) -> Option<Erased> {
        if let Some(session) = self.session {
            return Some(Erased::Session(session));
        }
        let provider = self.provider.clone()?;
        if let Some(user) = self.user.clone() {
            return Some(Erased::User { provider, user });
        }
        Some(Erased::Subject { provider, issuer: self.issuer.clone(), subject: self.subject.clone()? })
    }

    fn confirm(&self, whom: &Erased) -> Result<(), Failure> {
        if !io::stdin().is_terminal() {
            return Err(Failure::Unconfirmed);
        }
        let what = match whom {
            Erased::Session(session) => format!("session {session}"),
            Erased::User { provider, user } => {
                format!("everything that is kept of {} at {provider}", plain(user.as_str()))
            }
            Erased::Subject { provider, subject, .. } => {
                format!("everything that is kept of subject {} at {provider}", plain(subject))
            }
        };
        let keys = if self.forced { ", and the keys of the store are replaced" } else { "" };
        let mut err = anstream::stderr();
        write!(err, "This erases {what}{keys}. It cannot be undone. Go on? [y/N] ").map_err(Failure::Output)?;
        err.flush().map_err(Failure::Output)?;
        let mut answer = String::new();
        io::stdin().read_line(&mut answer).map_err(Failure::Input)?;
        if matches!(answer.trim(), "y" | "Y" | "yes") { Ok(()) } else { Err(Failure::Declined) }
    }
}

/// How far it is, on a connection of its own: the daemon may have been restarted meanwhile.
fn progress(context: &Context, id: &str) -> Result<Erasure, Failure> {
    Ok(context.connect()?.erase(Request::Progress(id.to_owned()))?)
}

/// Whether the daemon has nothing left to do.
fn is_over(erasure: &Erasure) -> bool {
    matches!(erasure.stage, ErasureStage::Done | ErasureStage::Rekeying)
}

fn describe_stage(erasure: &Erasure) -> String {
    let Erasure { provider, .. } = erasure;
    let stage = match erasure.stage {
        ErasureStage::Revoking => format!("ending the sessions, and having {provider} revoke their tokens"),
        ErasureStage::Telling => "handing audit records that name the user to syslog".to_owned(),
        ErasureStage::Rewriting => "writing the store anew".to_owned(),
        ErasureStage::Rotating => "sealing everything with a new key".to_owned(),
        ErasureStage::Rekeying | ErasureStage::Done => "done".to_owned(),
    };
    let detail = erasure.detail.as_deref().map(|detail| format!(": {}", plain(detail))).unwrap_or_default();
    let waiting = erasure.waiting.as_deref().map(|why| format!("; it waits: {}", plain(why))).unwrap_or_default();
    format!("{stage}{detail}{waiting}")
}

fn describe(erasure: &Erasure) -> String {
    if !is_over(erasure) {
        return format!(
            "NOT ERASED YET: {}.\nThe daemon goes on with it by itself, and `tokenkeeper status` tells as long as it waits.\n{}",
            describe_stage(erasure),
            if erasure.stage == ErasureStage::Revoking {
                "To erase without waiting for the provider, run it again with --now.\n"
            } else {
                ""
            }
        );
    }
    let Erasure { provider, sessions, not_revoked, .. } = erasure;
    let plural = if *sessions == 1 { "" } else { "s" };
    let revoked = match not_revoked {
        0 => format!("{provider} has revoked their tokens"),
        some => format!("{provider} has NOT revoked the tokens of {some}, which live until they expire"),
    };
    let revoked = if *sessions == 0 { String::new() } else { format!("; {revoked}") };
    let mut text = format!("Erased in {}: {sessions} session{plural}{revoked}.\n", seconds(erasure.milliseconds));
    text += "Not reached: backups, copies and snapshots of the disk, records that syslog has, and what the provider keeps.\n";
    for copy in &erasure.copies {
        let copy = plain(copy);
        // Writing to a text does not fail.
        let _ =
            writeln!(text, "A copy of the store as it was before stands in {copy}; remove it if you do not need it.");
    }
    text += match (erasure.forced, erasure.stage) {
        (false, _) => {
            "Blocks of removed files may stay on the disk until it reuses them, sealed; --forced destroys their key.\n"
        }
        (true, ErasureStage::Rekeying) => {
            "The key of the records is destroyed. One step is left, as root, so that no copy of the old keyring opens either:\n  \
             tokenkeeperd setup --rekey && systemctl restart tokenkeeperd\n"
        }
        (true, _) => "The keys of before are destroyed.\n",
    };
    text
}

fn seconds(milliseconds: u64) -> String {
    format!("{}.{} s", milliseconds / 1000, milliseconds % 1000 / 100)
}

#[cfg(test)]
mod tests {
    use tokenkeeper_client::UnixSeconds;

    use super::*;

    fn erasure(stage: ErasureStage) -> Erasure {
        Erasure {
            id: "00".to_owned(),
            provider: "corp".parse().unwrap(),
            stage,
            detail: None,
            waiting: None,
            sessions: 2,
            revoked: 2,
            not_revoked: 0,
            forced: false,
            begun_at: UnixSeconds(0),
            milliseconds: 3_250,
            copies: Vec::new(),
        }
    }

    #[test]
    fn nobody_is_told_that_something_is_gone_while_it_is_there() {
        let waiting = Some("corp has not revoked".to_owned());
        for stage in [ErasureStage::Revoking, ErasureStage::Telling, ErasureStage::Rewriting, ErasureStage::Rotating] {
            let text = describe(&Erasure { waiting: waiting.clone(), ..erasure(stage) });
            assert!(text.starts_with("NOT ERASED YET: ") && text.contains("corp has not revoked"), "{text}");
            assert_eq!(text.contains("--now"), stage == ErasureStage::Revoking, "{text}");
        }
    }

    #[test]
    fn what_is_not_reached_and_what_is_left_to_do_is_said() {
        let done = describe(&erasure(ErasureStage::Done));
        assert!(done.starts_with("Erased in 3.2 s: 2 sessions; corp has revoked their tokens.\n"), "{done}");
        assert!(done.contains("Not reached: backups") && done.contains("--forced"), "{done}");
        let forced = Erasure { forced: true, not_revoked: 1, ..erasure(ErasureStage::Rekeying) };
        let copies = vec!["/var/lib/tokenkeeper/store-schema-1".to_owned()];
        let forced = describe(&Erasure { copies, ..forced });
        for part in ["setup --rekey", "NOT revoked the tokens of 1", "store-schema-1"] {
            assert!(forced.contains(part), "{forced}");
        }
        assert!(!forced.contains("--forced"), "{forced}");
    }
}
