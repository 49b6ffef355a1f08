//! One configuration file: its text, and where in it things are.

use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;
use toml::de::DeTable;

use super::finding::{Findings, Place};

/// A file that was read.
#[derive(Debug)]
pub(super) struct Document {
    order: usize,
    name: Arc<str>,
    text: String,
    roots_alone: bool,
}

impl Document {
    /// `order` is its position among all files, `name` what people call it.
    pub(super) fn new(order: usize, name: &str, text: String) -> Self {
        Self { order, name: name.into(), text, roots_alone: false }
    }

    /// The same; whether nobody but root can change it.
    pub(super) fn for_root_alone(self, roots_alone: bool) -> Self {
        Self { roots_alone, ..self }
    }

    /// Whether nobody but root can change it.
    pub(super) fn is_for_root_alone(&self) -> bool {
        self.roots_alone
    }

    /// Its content, if it is well-formed TOML; all its errors of syntax otherwise.
    pub(super) fn parse(&self, findings: &Findings) -> Option<Spanned<DeTable<'_>>> {
        let (table, errors) = DeTable::parse_recoverable(&self.text);
        for error in &errors {
            // The message alone: the parser's display form repeats the line, and a secret may stand in it.
            findings.error(error.span().map(|span| self.place(&span)), error.message());
        }
        errors.is_empty().then_some(table)
    }

    /// Where `span` begins.
    pub(super) fn place(&self, span: &Range<usize>) -> Place {
        let before = self.text.get(..span.start).unwrap_or(&self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Place {
            order: self.order,
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            file: Arc::clone(&self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_in_lines_and_characters_from_one() {
        let document = Document::new(0, "a.toml", "x = 1\nü = \"é\" # é\n".to_owned());
        assert_eq!(document.place(&(0..1)).to_string(), "a.toml:1:1");
        let comment = document.text.find('#').unwrap();
        assert_eq!(document.place(&(comment..comment)).to_string(), "a.toml:2:9");
        assert_eq!(document.place(&(999..999)).to_string(), "a.toml:3:1");
    }

    #[test]
    fn an_error_of_syntax_does_not_repeat_the_line_it_stands_in() {
        let findings = Findings::default();
        let document = Document::new(0, "a.toml", "client_secret = \"hunter2\nx = [1,,2]\n".to_owned());
        assert!(document.parse(&findings).is_none());
        let errors = findings.finish(Some(())).unwrap_err().to_string();
        assert!(errors.starts_with("a.toml:1:"), "{errors}");
        assert!(errors.contains("\na.toml:2:"), "all errors of syntax at once: {errors}");
        assert!(!errors.contains("hunter2"), "{errors}");
    }
}
