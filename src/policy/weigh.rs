//! One rule against one question: the only place where a rule is read.

use tokenkeeper_protocol::{AccountName, ProviderName};

use super::{Action, On, Reach, Rule, Rules, Target, Who};
use crate::domain::{Owner, Peer};

/// How a rule meets a question: it allows what is asked, or something is in the way.
pub type Outcome = Result<(), Obstacle>;

/// Why a rule does not allow what is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// It is about somebody else.
    OtherPeer,
    /// It does not name the action.
    OtherAction,
    /// It is about another provider.
    OtherProvider,
    /// It is about service accounts, and this is none.
    AccountsOnly,
    /// It is about another service account.
    OtherAccount,
    /// It does not reach service accounts.
    NoAccounts,
    /// It reaches the peer's own sessions, and this one belongs to somebody else.
    NotOwn,
    /// It reaches the sessions of the Unix user, and the session's user is not mapped to it.
    NotMapped,
}

/// Whether `rule` lets `peer` do `action` on `target`; if not, what is in the way first.
pub(super) fn weigh(rules: &Rules, rule: &Rule, peer: &Peer, action: Action, target: Target<'_>) -> Outcome {
    if !is_about(&rule.who, peer) {
        return Err(Obstacle::OtherPeer);
    }
    if !rule.names(action) {
        return Err(Obstacle::OtherAction);
    }
    match (&rule.on, target) {
        (_, Target::Daemon) => Ok(()),
        (On::Sessions { provider, .. }, Target::Provider(asked)) => at(provider.as_ref(), asked),
        (On::Account(_), Target::Provider(_)) => Err(Obstacle::AccountsOnly),
        (On::Account(name), Target::Session { owner, .. }) => reaches_account(name.as_ref(), owner),
        (On::Sessions { provider, reach }, Target::Session { provider: asked, .. }) => {
            at(provider.as_ref(), asked)?;
            reaches_session(rules, rule, *reach, peer, target)
        }
    }
}

/// Whether `who` is about `peer`.
pub(super) fn is_about(who: &Who, peer: &Peer) -> bool {
    match who {
        Who::User(uid) => peer.uid == *uid,
        Who::Group(gid) => peer.gids.contains(gid),
        Who::Unit(unit) => peer.unit.as_ref() == Some(unit),
        Who::Unknown(_) => false,
    }
}

fn at(only: Option<&ProviderName>, asked: &ProviderName) -> Outcome {
    if only.is_none_or(|only| only == asked) { Ok(()) } else { Err(Obstacle::OtherProvider) }
}

fn reaches_account(only: Option<&AccountName>, owner: &Owner) -> Outcome {
    match owner {
        Owner::Account(name) if only.is_none_or(|only| only == name) => Ok(()),
        Owner::Account(_) => Err(Obstacle::OtherAccount),
        Owner::Uid(_) | Owner::Unit { .. } => Err(Obstacle::AccountsOnly),
    }
}

fn reaches_session(rules: &Rules, rule: &Rule, reach: Reach, peer: &Peer, target: Target<'_>) -> Outcome {
    let Target::Session { provider, owner, user } = target else { return Ok(()) };
    match (reach, owner) {
        (Reach::All, _) => Ok(()),
        (Reach::Own | Reach::User, Owner::Account(_)) => Err(Obstacle::NoAccounts),
        (Reach::Own, _) if owns(&rule.who, peer, owner) => Ok(()),
        (Reach::Own, _) => Err(Obstacle::NotOwn),
        (Reach::User, _) if rules.users.maps(provider, peer.uid, user) => Ok(()),
        (Reach::User, _) => Err(Obstacle::NotMapped),
    }
}

/// A rule about a unit takes all of the unit together, whichever users it runs as. One about users never mixes them.
fn owns(who: &Who, peer: &Peer, owner: &Owner) -> bool {
    match who {
        Who::Unit(_) => peer.is_of_unit_of(owner),
        Who::User(_) | Who::Group(_) => peer.is(owner),
        Who::Unknown(_) => false,
    }
}
