//! One table of a file, read key by key: every wrong key or type becomes a finding with its place, and reading goes on.

use std::fmt;
use std::ops::RangeInclusive;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::document::Document;
use super::finding::{Findings, Place};
use super::keys::Keys;
use super::value::Complaint;

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) place: Place,
}

/// A value of a table whose keys are not known beforehand.
#[derive(Clone, Debug)]
pub(super) enum Entry<'a> {
    Text(At<&'a str>),
    Number(i64),
    Flag(bool),
    Table(Table<'a>),
}

/// A table, the file it stands in, and where to report.
#[derive(Clone, Copy, Debug)]
pub(super) struct Table<'a> {
    document: &'a Document,
    findings: &'a Findings,
    start: usize,
    entries: &'a DeTable<'a>,
}

impl<'a> Table<'a> {
    /// The whole of a file.
    pub(super) fn root(document: &'a Document, findings: &'a Findings, root: &'a Spanned<DeTable<'a>>) -> Self {
        Self { document, findings, start: root.span().start, entries: root.get_ref() }
    }

    /// Where it begins.
    pub(super) fn place(&self) -> Place {
        self.document.place(&(self.start..self.start))
    }

    /// Whether nobody but root can change what stands in it.
    pub(super) fn is_for_root_alone(&self) -> bool {
        self.document.is_for_root_alone()
    }

    /// Reports every key that is not one of `keys`.
    pub(super) fn check_keys(&self, keys: &Keys) {
        for key in self.entries.keys() {
            let name: &str = key.get_ref();
            let place = self.document.place(&key.span());
            if keys.later.contains(&name) {
                self.error(place, format!("{name:?} is not available in this version"));
            } else if !keys.known.contains(&name) {
                self.error(place, format!("unknown key {name:?}; {}", suggest(name, keys.known)));
            }
        }
    }

    /// Reports `message` at `place`.
    pub(super) fn error(&self, place: Place, message: impl Into<String>) {
        self.findings.error(Some(place), message);
    }

    /// Reports `message` at `place`, as something that may be meant.
    pub(super) fn warning(&self, place: Place, message: impl Into<String>) {
        self.findings.warning(Some(place), message);
    }

    /// Reports that `key` must be there.
    pub(super) fn missing(&self, key: &str, example: &str) {
        self.error(self.place(), format!("{key} is missing here; write for example: {key} = {example}"));
    }

    /// Where `key` stands, if it is there.
    pub(super) fn place_of(&self, key: &str) -> Option<Place> {
        self.entries.get_key_value(key).map(|(key, _)| self.document.place(&key.span()))
    }

    /// Whether `key` is there and a text.
    pub(super) fn is_text(&self, key: &str) -> bool {
        self.entries.get(key).is_some_and(|value| value.get_ref().is_str())
    }

    /// A text.
    pub(super) fn text(&self, key: &str) -> Option<At<&'a str>> {
        let value = self.entries.get(key)?;
        self.as_text(key, value)
    }

    /// A text that `parse` makes sense of.
    pub(super) fn parsed<T>(&self, key: &str, parse: impl FnOnce(&str) -> Result<T, Complaint>) -> Option<T> {
        let text = self.text(key)?;
        self.accept(key, &text.place, parse(text.value))
    }

    /// The same, for a key that must be there.
    pub(super) fn required<T>(
        &self,
        key: &str,
        example: &str,
        parse: impl FnOnce(&str) -> Result<T, Complaint>,
    ) -> Option<T> {
        if !self.entries.contains_key(key) {
            self.missing(key, example);
        }
        self.parsed(key, parse)
    }

    /// An array of texts, each of which `parse` makes sense of.
    pub(super) fn list<T>(&self, key: &str, parse: impl Fn(&str) -> Result<T, Complaint>) -> Option<Vec<T>> {
        let value = self.entries.get(key)?;
        let Some(items) = value.get_ref().as_array() else {
            self.wrong_type(key, value, "an array of strings");
            return None;
        };
        let accept = |item| {
            let text = self.as_text(key, item)?;
            self.accept(key, &text.place, parse(text.value))
        };
        // Every item is looked at before one of them makes the whole list fail.
        items.iter().map(accept).collect::<Vec<_>>().into_iter().collect()
    }

    /// A whole number within `range`.
    pub(super) fn number(&self, key: &str, range: RangeInclusive<u64>) -> Option<u64> {
        let value = self.entries.get(key)?;
        let Some(integer) = value.get_ref().as_integer() else {
            self.wrong_type(key, value, "a whole number");
            return None;
        };
        let number =
            u64::from_str_radix(integer.as_str(), integer.radix()).ok().filter(|number| range.contains(number));
        let complaint = || Complaint::new(format!("must be from {} to {}", range.start(), range.end()));
        self.accept(key, &self.document.place(&value.span()), number.ok_or_else(complaint))
    }

    /// An array of whole numbers within `range`.
    pub(super) fn numbers(&self, key: &str, range: RangeInclusive<u64>) -> Option<Vec<u64>> {
        let value = self.entries.get(key)?;
        let Some(items) = value.get_ref().as_array() else {
            self.wrong_type(key, value, "an array of whole numbers");
            return None;
        };
        let accept = |item: &Spanned<DeValue<'_>>| {
            let number = integer(item.get_ref()).and_then(|number| u64::try_from(number).ok());
            let complaint = || Complaint::new(format!("must hold numbers from {} to {}", range.start(), range.end()));
            let number = number.filter(|number| range.contains(number)).ok_or_else(complaint);
            self.accept(key, &self.document.place(&item.span()), number)
        };
        items.iter().map(accept).collect::<Vec<_>>().into_iter().collect()
    }

    /// Everything in it, each with its key. What is no text, number, truth value or table is reported and left out.
    pub(super) fn entries(&self) -> Vec<(At<&'a str>, Entry<'a>)> {
        let entries = self.entries.iter().filter_map(|(key, value)| {
            let name: &'a str = key.get_ref();
            let entry = match value.get_ref() {
                DeValue::String(_) => Entry::Text(self.as_text(name, value)?),
                DeValue::Boolean(flag) => Entry::Flag(*flag),
                DeValue::Table(_) => Entry::Table(self.as_table(name, value)?),
                other => {
                    let Some(number) = integer(other) else {
                        self.wrong_type(name, value, "a string, in quotes, a whole number, true, false or a table");
                        return None;
                    };
                    Entry::Number(number)
                }
            };
            Some((At { value: name, place: self.document.place(&key.span()) }, entry))
        });
        entries.collect()
    }

    /// A table of another document, with the same place for findings.
    pub(super) fn beside<'b>(&self, document: &'b Document, root: &'b Spanned<DeTable<'b>>) -> Table<'b>
    where
        'a: 'b,
    {
        Table::root(document, self.findings, root)
    }

    /// Parses a document that is to stand beside this table.
    pub(super) fn parse<'b>(&self, document: &'b Document) -> Option<Spanned<DeTable<'b>>> {
        document.parse(self.findings)
    }

    /// A table within this one.
    pub(super) fn table(&self, key: &str) -> Option<Self> {
        let value = self.entries.get(key)?;
        self.as_table(key, value)
    }

    /// All tables within this one, each with its key.
    pub(super) fn tables(&self) -> Vec<(At<&'a str>, Self)> {
        let named = self.entries.iter().filter_map(|(key, value)| {
            let name: &str = key.get_ref();
            Some((At { value: name, place: self.document.place(&key.span()) }, self.as_table(name, value)?))
        });
        named.collect()
    }

    /// Every key, where any name is one.
    pub(super) fn names(&self) -> Vec<At<&'a str>> {
        let keys = self.entries.keys();
        keys.map(|key| At { value: key.get_ref().as_ref(), place: self.document.place(&key.span()) }).collect()
    }

    /// An array of tables (`[[key]]`).
    pub(super) fn array_of_tables(&self, key: &str) -> Vec<Self> {
        let Some(value) = self.entries.get(key) else { return Vec::new() };
        let Some(items) = value.get_ref().as_array() else {
            self.error(self.document.place(&value.span()), format!("{key} is written in double brackets: [[{key}]]"));
            return Vec::new();
        };
        items.iter().filter_map(|item| self.as_table(key, item)).collect()
    }

    /// Reports the complaint about `key`, if it is one.
    pub(super) fn accept<T>(&self, key: &str, place: &Place, result: Result<T, Complaint>) -> Option<T> {
        result.map_err(|complaint| self.error(place.clone(), format!("{key} {complaint}"))).ok()
    }

    fn as_text(&self, key: &str, value: &'a Spanned<DeValue<'a>>) -> Option<At<&'a str>> {
        let text = value.get_ref().as_str();
        if text.is_none() {
            self.wrong_type(key, value, "a string, in quotes");
        }
        text.map(|text| At { value: text, place: self.document.place(&value.span()) })
    }

    fn as_table(&self, key: &str, value: &'a Spanned<DeValue<'a>>) -> Option<Self> {
        let entries = value.get_ref().as_table();
        if entries.is_none() {
            self.wrong_type(key, value, "a table");
        }
        entries.map(|entries| Self { start: value.span().start, entries, ..*self })
    }

    fn wrong_type(&self, key: &str, value: &Spanned<DeValue<'_>>, wanted: &str) {
        let message = format!("{key} must be {wanted}, not {}", article(value.get_ref().type_str()));
        self.error(self.document.place(&value.span()), message);
    }
}

fn integer(value: &DeValue<'_>) -> Option<i64> {
    let integer = value.as_integer()?;
    i64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

/// What to write instead of `word`: the most similar of `allowed`, or all of them.
pub(crate) fn suggest<T: AsRef<str> + fmt::Debug>(word: &str, allowed: &[T]) -> String {
    // Misspellings are about this similar or more; less similar words are other words.
    const SIMILAR: f64 = 0.8;
    let similarity = |other: &T| strsim::jaro_winkler(word, other.as_ref());
    let best = allowed.iter().max_by(|a, b| similarity(a).total_cmp(&similarity(b)));
    match best.filter(|best| similarity(best) >= SIMILAR) {
        Some(best) => format!("did you mean {best:?}?"),
        None => format!("allowed are {}", listed(allowed)),
    }
}

fn listed<T: fmt::Debug>(words: &[T]) -> String {
    words.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(", ")
}

fn article(kind: &str) -> String {
    let vowel = kind.starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} {kind}", if vowel { "an" } else { "a" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::keys;

    /// What `read` reports about `text`.
    fn findings(text: &str, read: impl FnOnce(Table<'_>)) -> String {
        let findings = Findings::default();
        let document = Document::new(0, "a.toml", text.to_owned());
        let root = document.parse(&findings).unwrap();
        read(Table::root(&document, &findings, &root));
        findings.finish(Some(())).err().map(|errors| errors.to_string()).unwrap_or_default()
    }

    #[test]
    fn a_misspelt_key_is_recognised_and_a_strange_one_gets_the_list() {
        let found = findings("sweap = 1\nxyz = 2\n", |table| table.check_keys(&keys::SCHEDULE));
        let expected = "a.toml:1:1: unknown key \"sweap\"; did you mean \"sweep\"?\n\
                        a.toml:2:1: unknown key \"xyz\"; allowed are \"sweep\", \"prune\", \"scrub\", \"retention\", \
                        \"rotate_keys\", \"reseal_rate\"";
        assert_eq!(found, expected);
    }

    #[test]
    fn a_planned_key_is_named_as_such() {
        let found = findings("idle = 1\n", |table| table.check_keys(&keys::PROVIDER));
        assert_eq!(found, "a.toml:1:1: \"idle\" is not available in this version");
    }

    #[test]
    fn wrong_types_name_both_types_and_not_the_value() {
        let found = findings("a = 1\nb = 'x'\nc = [1]\nd = [2]\ne = -3", |table| {
            assert!(table.text("a").is_none());
            assert!(table.table("b").is_none());
            assert!(table.list("c", |text| Ok(text.to_owned())).is_none());
            assert!(table.number("d", 0..=1).is_none());
            assert!(table.number("e", 0..=5).is_none());
        });
        let expected = "a.toml:1:5: a must be a string, in quotes, not an integer\n\
                        a.toml:2:5: b must be a table, not a string\n\
                        a.toml:3:6: c must be a string, in quotes, not an integer\n\
                        a.toml:4:5: d must be a whole number, not an array\n\
                        a.toml:5:5: e must be from 0 to 5";
        assert_eq!(found, expected);
    }

    #[test]
    fn every_wrong_item_of_a_list_is_reported() {
        let found = findings("a = ['x',\n'y']\n", |table| {
            assert!(table.list::<()>("a", |_| Err(Complaint::new("is wrong"))).is_none());
        });
        assert_eq!(found, "a.toml:1:6: a is wrong\na.toml:2:1: a is wrong");
    }

    #[test]
    fn a_missing_key_is_reported_where_its_table_begins() {
        let found = findings("\n[x]\n", |root| {
            let table = root.table("x").unwrap();
            assert!(table.required("y", "\"1\"", |text| Ok(text.to_owned())).is_none());
        });
        assert_eq!(found, "a.toml:2:1: y is missing here; write for example: y = \"1\"");
    }
}
