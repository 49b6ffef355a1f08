//! A provider that knows every token that it ever gave, by number.

use std::collections::BTreeMap;
use std::time::Duration;

use tokenkeeper_protocol::UnixSeconds;

/// What a provider does with refresh tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rotation {
    /// Each is good once. One that comes again ends the grant.
    Strict,
    /// The same, but one that comes again within [`GRACE`] is taken for lost.
    Forgiving,
    /// They stay, which nobody has learned yet.
    None,
    /// They stay, which is known.
    KnownNone,
}

/// How long a spent refresh token is good.
pub(super) const GRACE: Duration = Duration::from_secs(30);

impl Rotation {
    /// How long the daemon believes that it is.
    pub(super) fn believed_grace(self) -> Duration {
        match self {
            Self::Strict | Self::None => Duration::ZERO,
            Self::Forgiving => GRACE,
            Self::KnownNone => Duration::from_hours(24 * 3650),
        }
    }
}

/// Tokens by their number; a refresh token only if it is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Given {
    pub(super) access: u32,
    pub(super) refresh: Option<u32>,
}

/// It is no good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused;

/// The provider.
#[derive(Clone)]
pub(super) struct Oracle {
    pub(super) rotation: Rotation,
    /// The number of the last token that it gave.
    pub(super) newest: u32,
    /// When each refresh token was spent first.
    spent: BTreeMap<u32, UnixSeconds>,
    /// The grant is over.
    pub(super) is_revoked: bool,
}

impl Oracle {
    pub(super) fn new(rotation: Rotation) -> Self {
        Self { rotation, newest: 0, spent: BTreeMap::new(), is_revoked: false }
    }

    /// Spends a refresh token.
    pub(super) fn spend(&mut self, refresh: u32, now: UnixSeconds) -> Result<Given, Refused> {
        if self.rotates()
            && let Some(at) = self.spent.get(&refresh)
        {
            self.is_revoked |= self.rotation == Rotation::Strict || now >= *at + GRACE;
        }
        if self.is_revoked {
            return Err(Refused);
        }
        self.spent.entry(refresh).or_insert(now);
        self.newest += 1;
        Ok(Given { access: self.newest, refresh: self.rotates().then_some(self.newest) })
    }

    /// Whether a refresh token would be taken.
    pub(super) fn takes(&self, refresh: u32, now: UnixSeconds) -> bool {
        self.clone().spend(refresh, now).is_ok()
    }

    /// What decides about it if it comes again: when it was spent, where that counts.
    pub(super) fn fate(&self, refresh: u32, now: UnixSeconds) -> Option<Duration> {
        let spent_at = self.spent.get(&refresh).filter(|_| self.rotates())?;
        Some(if self.rotation == Rotation::Strict { Duration::ZERO } else { now.since(*spent_at).min(GRACE) })
    }

    /// Whether it was spent and has a successor.
    pub(super) fn is_spent(&self, refresh: u32) -> bool {
        self.rotates() && self.spent.contains_key(&refresh)
    }

    fn rotates(&self) -> bool {
        matches!(self.rotation, Rotation::Strict | Rotation::Forgiving)
    }
}
