//! The table: each fault, and every way that it shows. `docs/errors.md` is written from it.

#![expect(clippy::too_many_lines, reason = "a table is as long as what it lists")]

mod answers;
mod connection;
mod discovery;
mod here;
mod kept;
mod peculiar;
mod refusals;

use super::row::Entry;

/// What a part of the table is about, for the headings of its page.
pub(super) struct Part {
    pub(super) heading: &'static str,
    pub(super) entries: Vec<Entry>,
}

/// The whole table, in the order of its page.
pub(super) fn parts() -> Vec<Part> {
    vec![
        Part { heading: "On the way to the provider", entries: connection::entries() },
        Part { heading: "The provider's answers", entries: answers::entries() },
        Part { heading: "The provider says no", entries: refusals::entries() },
        Part { heading: "Discovery, keys and ID tokens", entries: discovery::entries() },
        Part { heading: "Peculiar providers", entries: peculiar::entries() },
        Part { heading: "On this machine", entries: here::entries() },
        Part { heading: "What is kept", entries: kept::entries() },
    ]
}

/// Every fault.
pub(super) fn all() -> Vec<Entry> {
    parts().into_iter().flat_map(|part| part.entries).collect()
}
