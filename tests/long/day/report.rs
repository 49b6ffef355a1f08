//! What became of the day: what went wrong at whom, and of each lost session why, here and at its provider.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use tokenkeeper_protocol::SessionRef;

use super::peers::Peer;
use super::{Asked, People};
use crate::support::Home;

/// What went wrong.
pub(super) struct Tally {
    pub(super) peers: Vec<PeerTally>,
    pub(super) kills: usize,
    pub(super) stops: usize,
    /// How often `tokenkeeper status` said what.
    status: BTreeMap<String, usize>,
}

#[derive(Default)]
pub(super) struct PeerTally {
    pub(super) restarts: usize,
    pub(super) cuts: usize,
    pub(super) answers_lost: usize,
    /// Users whose grants an administrator of the provider ended.
    pub(super) ended: BTreeSet<String>,
}

impl Tally {
    pub(super) fn new(peers: usize) -> Self {
        let peers = (0..peers).map(|_| PeerTally::default()).collect();
        Self { peers, kills: 0, stops: 0, status: BTreeMap::new() }
    }

    /// What a sysadmin sees at this moment.
    pub(super) fn note_status(&mut self, home: &Home) {
        let said = home.cli(["status"]).stdout;
        let health = said.lines().next().unwrap_or_default();
        let health = health.split_once(": ").map_or("no answer", |(_, health)| health).to_owned();
        *self.status.entry(health).or_default() += 1;
    }
}

/// A session that is lost.
struct Loss {
    session: SessionRef,
    user: String,
    /// What its caller is told.
    told: String,
    /// What stands in the audit trail.
    audited: Option<String>,
    /// Whether the provider says that it ended the grant.
    at_provider: bool,
    was_ended: bool,
}

pub(super) struct Report {
    lines: Vec<String>,
    losses: Vec<(&'static str, Loss)>,
    /// Users whose grant is ended, and whose session is served all the same.
    undead: Vec<String>,
    refreshes: usize,
}

impl Report {
    #[expect(clippy::too_many_arguments, reason = "everything that was seen goes into one report")]
    pub(super) fn new(
        home: &Home,
        peers: &[Peer],
        people: &People,
        tally: &Tally,
        asked: &[Asked],
        lost: &BTreeMap<SessionRef, String>,
        during: &[String],
        day: Duration,
    ) -> Self {
        let audited: Vec<_> = home.syslog.matching(&["\"refresh_failed\"", "reason="]);
        let (mut lines, mut losses, mut undead, mut refreshes) = (vec![], vec![], vec![], 0);
        for (index, (peer, told)) in peers.iter().zip(&tally.peers).enumerate() {
            let of_peer: BTreeMap<_, _> = people.iter().filter(|(_, person)| person.peer == index).collect();
            let ended = peer.ended(of_peer.values().map(|person| &person.user));
            let named = format!("provider=\"{}\"", peer.name());
            let count = |event: &str| during.iter().filter(|it| it.contains(event) && it.contains(&named)).count();
            let (done, failed) = (count("\"refresh_done\""), count("\"refresh_failed\""));
            refreshes += done;
            for (session, person) in &of_peer {
                let Some(why) = lost.get(session) else {
                    undead.extend(ended.contains(&person.user).then(|| format!("{} at {}", person.user, peer.name())));
                    continue;
                };
                let name = format!("session=\"{session}\"");
                let found = Loss {
                    session: **session,
                    user: person.user.clone(),
                    told: why.clone(),
                    audited: audited.iter().find(|record| record.contains(&name)).and_then(|it| reason(it)),
                    at_provider: ended.contains(&person.user),
                    was_ended: told.ended.contains(&person.user),
                };
                losses.push((peer.name(), found));
            }
            let lost_here = of_peer.keys().filter(|session| lost.contains_key(session)).count();
            let each = day * u32::try_from(of_peer.len()).unwrap() / u32::try_from(done.max(1)).unwrap();
            lines.push(format!(
                "{:7} {}: {} sessions, {done} refreshes (one each {each:.1?}), {failed} failed tries; {} restarts, {} cuts, \
                 {} answers lost; {} grants ended by its administrator, {} in its log; {lost_here} sessions lost",
                peer.name(),
                peer.words(),
                of_peer.len(),
                told.restarts,
                told.cuts,
                told.answers_lost,
                told.ended.len(),
                ended.len(),
            ));
        }
        let sum = |field: fn(&Asked) -> usize| asked.iter().map(field).sum::<usize>();
        lines.push(format!("daemon  {} kills, {} stops", tally.kills, tally.stops));
        lines.push(format!(
            "callers {} served, {} told to try later, {} to log in again, {} found nobody there",
            sum(|it| it.served),
            sum(|it| it.later),
            sum(|it| it.login_required),
            sum(|it| it.nobody_there),
        ));
        for (said, times) in &tally.status {
            lines.push(format!("status  {times} times: {said}"));
        }
        Self { lines, losses, undead, refreshes }
    }

    pub(super) fn refreshes(&self) -> usize {
        self.refreshes
    }

    /// What must not be: sessions lost that their provider goes on with, losses that are not told, and sessions that outlive
    /// their grant.
    pub(super) fn unexplained(&self) -> Vec<String> {
        let is_told = |loss: &Loss| {
            let reason = loss.audited.as_deref();
            // A spent refresh token comes again only where an answer was lost.
            let is_explained = if loss.was_ended { reason.is_some() } else { reason == Some("answer_lost") };
            loss.at_provider && is_explained && loss.told.contains("the provider")
        };
        let untold = self.losses.iter().filter(|(_, loss)| !is_told(loss));
        let untold = untold.map(|(peer, loss)| format!("{peer}: {loss}"));
        untold.chain(self.undead.iter().map(|who| format!("{who}: served although its grant is ended"))).collect()
    }
}

/// `reason="..."` of a record.
fn reason(record: &str) -> Option<String> {
    record.split_once("reason=\"")?.1.split_once('"').map(|(reason, _)| reason.to_owned())
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))?;
        self.losses.iter().try_for_each(|(peer, loss)| writeln!(f, "lost    {peer}: {loss}"))
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { session, user, told, audited, at_provider, was_ended } = self;
        let at_provider = match (at_provider, was_ended) {
            (true, true) => "ended by its administrator",
            (true, false) => "ended by the provider, which saw a spent refresh token",
            (false, _) => "goes on",
        };
        let audited = audited.as_deref().unwrap_or("nothing");
        write!(f, "{session} of {user}: told {told:?}; audit says {audited}; at the provider: {at_provider}")
    }
}
