//! Puts the tables of all files together. A table belongs in one file; rules are collected from all of them.

use std::collections::BTreeMap;

use super::keys;
use super::table::{At, Table};

/// The tables of all files.
#[derive(Debug, Default)]
pub(super) struct Tables<'a> {
    /// `daemon`, `schedule` and `audit`.
    sections: BTreeMap<&'static str, Table<'a>>,
    /// What stands under `provider`.
    pub(super) providers: Vec<(At<&'a str>, Table<'a>)>,
    /// What stands under `user_map`, by provider.
    pub(super) user_maps: Vec<(At<&'a str>, Table<'a>)>,
    /// Every `[[allow]]`, in the order of the files.
    pub(super) allow: Vec<Table<'a>>,
}

impl<'a> Tables<'a> {
    /// Adds the tables of one file.
    pub(super) fn add(&mut self, root: Table<'a>) {
        root.check_keys(&keys::ROOT);
        for heading in ["daemon", "schedule", "audit"] {
            let Some(table) = root.table(heading) else { continue };
            if is_first(self.sections.get(heading), heading, table) {
                self.sections.insert(heading, table);
            }
        }
        add_named(&mut self.providers, root, "provider");
        add_named(&mut self.user_maps, root, "user_map");
        self.allow.extend(root.array_of_tables("allow"));
    }

    /// `daemon`, `schedule` or `audit`, if any file has it.
    pub(super) fn section(&self, heading: &str) -> Option<Table<'a>> {
        self.sections.get(heading).copied()
    }
}

/// Adds the tables under `heading`, each of which has a name of its own.
fn add_named<'a>(known: &mut Vec<(At<&'a str>, Table<'a>)>, root: Table<'a>, heading: &str) {
    for (name, table) in root.table(heading).map(|tables| tables.tables()).unwrap_or_default() {
        let first = known.iter().find(|(other, _)| other.value == name.value).map(|(_, table)| table);
        if is_first(first, &format!("{heading}.{}", name.value), table) {
            known.push((name, table));
        }
    }
}

/// Whether no file before has a table of this heading; within one file, the parser makes sure of that.
fn is_first(first: Option<&Table<'_>>, heading: &str, table: Table<'_>) -> bool {
    if let Some(first) = first {
        table.error(
            table.place(),
            format!("[{heading}] stands at {} already; a table belongs in one file", first.place()),
        );
    }
    first.is_none()
}
