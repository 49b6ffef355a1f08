//! What may still happen that need not.

use std::fmt;

/// Something that need not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The daemon crashes.
    Crash,
    /// The clock is found set back when it starts again.
    SetBack,
    /// Store, network or provider fail.
    Fault,
    Logout,
    Prune,
    /// The provider leaves the configuration; it may come back.
    Reload,
    /// Somebody wants a newer token.
    Caller,
}

const KINDS: [Kind; 7] =
    [Kind::Crash, Kind::SetBack, Kind::Fault, Kind::Logout, Kind::Prune, Kind::Reload, Kind::Caller];

/// How often each may happen, and all of them together.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Budget {
    each: [u8; KINDS.len()],
    in_all: u8,
    /// Times that the clock moves to the next time that means something.
    pub(super) ticks: u8,
    /// The clock only moves when nothing else is to be done.
    pub(super) is_punctual: bool,
}

impl Budget {
    /// Any `in_all` of all kinds.
    pub(super) fn any(in_all: u8, ticks: u8) -> Self {
        Self { each: [in_all; KINDS.len()], in_all, ticks, is_punctual: false }
    }

    /// Each of these once, or as often as it is named.
    pub(super) fn of(kinds: &[Kind], ticks: u8) -> Self {
        let mut this = Self { in_all: u8::try_from(kinds.len()).unwrap(), ..Self::any(0, ticks) };
        for kind in kinds {
            this.each[*kind as usize] += 1;
        }
        this
    }

    /// The same at a daemon that is never late, and with nothing that makes it be.
    pub(super) fn punctual(mut self) -> Self {
        (self.each[Kind::Reload as usize], self.each[Kind::SetBack as usize]) = (0, 0);
        Self { is_punctual: true, ..self }
    }

    /// The same in which at most so many of them come together.
    pub(super) fn at_most(self, in_all: u8) -> Self {
        Self { in_all, ..self }
    }

    /// Nothing goes wrong any more, and time goes on.
    pub(super) fn over(self) -> Self {
        Self { is_punctual: self.is_punctual, ..Self::any(0, u8::MAX) }
    }

    pub(super) fn has(&self, kind: Kind) -> bool {
        self.left(kind) > 0
    }

    pub(super) fn take(&mut self, kind: Kind) {
        self.each[kind as usize] -= 1;
        self.in_all -= 1;
    }

    /// Whether everything that may happen with `other` may happen with this.
    pub(super) fn covers(&self, other: &Self) -> bool {
        let is_of_each = KINDS.into_iter().all(|kind| self.left(kind) >= other.left(kind));
        is_of_each && self.in_all >= other.in_all && self.ticks >= other.ticks
    }

    /// How much of it there is.
    pub(super) fn size(&self) -> u8 {
        self.in_all + self.ticks
    }

    fn left(&self, kind: Kind) -> u8 {
        self.each[kind as usize].min(self.in_all)
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of", self.in_all)?;
        for kind in KINDS.into_iter().filter(|kind| self.has(*kind)) {
            write!(f, " {}x{kind:?}", self.left(kind))?;
        }
        write!(f, ", {} ticks{}", self.ticks, if self.is_punctual { ", punctual" } else { "" })
    }
}
