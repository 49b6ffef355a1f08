//! What must hold: in every state, and at the end of each once nothing goes wrong any more.

use std::collections::HashSet;

use super::moves::Move;
use super::oracle::Rotation;
use super::world::{World, number};
use crate::domain::{LoginReason, State as SessionState};
use crate::keeper::flight::course::State;
use crate::provider::RefreshOutcome;

/// What must hold whenever one state follows on another.
pub(super) fn hold_between(before: &World, next: &World) -> Result<(), String> {
    hold_when_sent(before, next)?;
    hold_when_served(before, next)?;
    let fail = |words: &str| Err(words.to_owned());
    match next.loss() {
        Some(_) if before.loss().is_some() => Ok(()),
        Some(LoginReason::AnswerLost(_)) if before.is_exposed => match next.oracle.rotation {
            Rotation::Strict => Ok(()),
            Rotation::Forgiving if !next.left.is_punctual => Ok(()),
            _ => fail("a session is lost at a provider that would have forgiven it"),
        },
        Some(reason) => Err(format!("a session is lost for no reason that the daemon knows: {reason:?}")),
        None => Ok(()),
    }
}

fn hold_when_sent(before: &World, next: &World) -> Result<(), String> {
    let fail = |words: &str| Err(words.to_owned());
    let Some(daemon) = &next.daemon else { return Ok(()) };
    if before.daemon.as_ref().is_none_or(|earlier| earlier.request.is_none())
        && let Some(request) = daemon.request
    {
        let session = &next.disk.session.value;
        if next.disk.intent.is_none() {
            return fail("a refresh token is sent without a durable intent");
        }
        let Some(State::Asking(_, asked_at)) = daemon.flight.as_ref().map(|flight| &flight.state) else {
            return fail("a refresh token is sent, and nobody asked for that");
        };
        if session.state.is_active() && next.refresh() != Some(request.refresh) {
            return fail("a refresh token is sent whose successor is on disk");
        }
        if next.stray == Some(request.refresh) && next.oracle.rotation == Rotation::Strict {
            return fail("a refresh token is on its way twice");
        }
        if let (Some(trouble), Some(tokens)) = (&session.trouble, &session.tokens)
            && let Some(since) = trouble.unknown_since
            && since.since(*asked_at).max(asked_at.since(since)) >= next.oracle.rotation.believed_grace()
            && *asked_at < tokens.access.expires_at
        {
            return fail("a refresh token that may be spent is sent while there is something to lose");
        }
        // On its way to the provider it may still come too late, which nobody here can know.
        if let (Some(tokens), Some(spent)) = (&session.tokens, next.oracle.fate(request.refresh, *asked_at))
            && spent >= next.oracle.rotation.believed_grace()
            && next.behind.is_zero()
            && *asked_at < tokens.access.expires_at
        {
            return fail("a refresh token that is spent is sent while there is something to lose");
        }
        if daemon.unwritten.is_some() {
            return fail("a refresh token is sent while the answer to it waits to be written");
        }
    }
    Ok(())
}

fn hold_when_served(before: &World, next: &World) -> Result<(), String> {
    let fail = |words: &str| Err(words.to_owned());
    let Some(daemon) = &next.daemon else { return Ok(()) };
    if let Some(shown) = daemon.shown {
        if next.is_over {
            return fail("somebody is served after the session is over");
        }
        let on_disk = next.disk.session.value.tokens.as_ref().map(|tokens| number(&tokens.access.token));
        let in_memory = daemon.unwritten.as_ref().and_then(|answered| match &answered.outcome {
            RefreshOutcome::Renewed(tokens) => Some(number(&tokens.access.token)),
            _ => None,
        });
        let is_new = before.daemon.as_ref().is_none_or(|earlier| earlier.shown != daemon.shown);
        if is_new && Some(shown) != on_disk.max(in_memory) {
            return fail("a token is served that is neither on disk nor kept in memory");
        }
        if daemon.flight.is_none() && !daemon.is_closing && Some(shown) < on_disk.max(in_memory) {
            return fail("a token is served whose successor is there, and no flight will show it");
        }
        if shown < before.seen && before.daemon.is_some() {
            return fail("a token is served after its successor was");
        }
    }
    Ok(())
}

/// What must hold once nothing goes wrong any more: the session is live or closed, and nothing that the provider gave is
/// forgotten. `good` are states of which that is known.
pub(super) fn hold_at_the_end_of(world: &World, good: &mut HashSet<u64>) -> Result<(), String> {
    let over = world.left.over();
    let mut world = World { left: over, ..world.clone() };
    let mut way = Vec::new();
    for _ in 0..200 {
        world.left = over;
        let key = world.key();
        if good.contains(&key) {
            good.extend(way);
            return Ok(());
        }
        way.push(key);
        if let Some(end) = end_of(&world) {
            end?;
            good.extend(way);
            return Ok(());
        }
        let next = calmest(&world).ok_or("nothing goes on")?;
        hold_between(&world, &next)?;
        world = next;
    }
    Err(format!("it comes to no end: {:?} {:?}", world.disk.session.value.state, world.disk.session.value.trouble))
}

/// How it ended, if it did.
fn end_of(world: &World) -> Option<Result<(), String>> {
    let daemon = world.daemon.as_ref()?;
    let session = &world.disk.session.value;
    let is_quiet = daemon.flight.is_none() && daemon.unwritten.is_none() && !daemon.is_closing && world.is_configured;
    if !is_quiet || !world.disk.takes_writes || world.is_due() {
        return None;
    }
    let fail = |words: &str| Some(Err(words.to_owned()));
    match (&session.state, &session.tokens) {
        (SessionState::Active, Some(tokens)) => {
            if session.trouble.is_some() || world.now >= tokens.access.expires_at || daemon.shown.is_none() {
                return None;
            }
            if session.due_at.is_none() {
                return fail("nobody will ever look at it again");
            }
            let refresh = world.refresh().unwrap();
            if !world.oracle.takes(refresh, world.true_now()) && !world.is_exposed {
                return fail("the refresh token on disk is worth nothing, and nobody knows");
            }
            Some(Ok(()))
        }
        (SessionState::Active, None) => fail("an active session without tokens"),
        (_, Some(_)) => None,
        (_, None) if daemon.shown.is_some() => fail("somebody is served from a session that is over"),
        (_, None) if !world.oracle.is_revoked && !world.is_exposed => {
            fail("the session is over, and what the provider gave last is good for ever")
        }
        (_, None) => Some(Ok(())),
    }
}

/// What happens when nothing goes wrong.
fn calmest(world: &World) -> Option<World> {
    let order = |step: &Move| match step {
        Move::Start => 0,
        Move::StoreIsBack => 1,
        Move::Configure => 2,
        Move::Closed => 3,
        Move::Flight(_) => 4,
        Move::Schedule => 5,
        Move::Look => 6,
        Move::Tick => 7,
        _ => 8,
    };
    let moves = world.moves().into_iter().filter(|(step, _)| order(step) < 8);
    moves.min_by_key(|(step, _)| order(step)).map(|(_, next)| next)
}
