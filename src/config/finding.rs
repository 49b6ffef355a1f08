//! What is found wrong with a configuration, and where.
//!
//! A message names keys and repeats values only where they cannot be secret.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

/// A place in a file. Ordered as the files are read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The position of the file among all that were read.
    pub(super) order: usize,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The file, as people call it.
    pub file: Arc<str>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// One error or warning: `corp.toml:3:1: unknown key "clientid"; did you mean "client_id"?`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// Where; nowhere in particular for a file that is missing.
    pub place: Option<Place>,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) => write!(f, "{place}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

/// Everything that keeps a configuration from being used, in the order of the files; displayed one per line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(Vec<Finding>);

impl ConfigErrors {
    /// All of them.
    pub fn all(&self) -> &[Finding] {
        &self.0
    }

    /// The first, for where there is room for one line only. Says how many more there are.
    pub fn first(&self) -> String {
        match self.0.as_slice() {
            [] => String::new(),
            [only] => only.to_string(),
            [first, more @ ..] => format!("{first} (and {} more)", more.len()),
        }
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, finding) in self.0.iter().enumerate() {
            write!(f, "{}{finding}", if index == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// Collects findings while the files are walked, so that the walk goes on behind the first error.
#[derive(Debug, Default)]
pub(super) struct Findings {
    errors: RefCell<Vec<Finding>>,
    warnings: RefCell<Vec<Finding>>,
}

impl Findings {
    pub(super) fn error(&self, place: Option<Place>, message: impl Into<String>) {
        self.errors.borrow_mut().push(Finding { place, message: message.into() });
    }

    pub(super) fn warning(&self, place: Option<Place>, message: impl Into<String>) {
        self.warnings.borrow_mut().push(Finding { place, message: message.into() });
    }

    pub(super) fn no_error(&self) -> bool {
        self.errors.borrow().is_empty()
    }

    /// `value` and the warnings about it, if there was no error.
    pub(super) fn finish<T>(self, value: Option<T>) -> Result<(T, Vec<Finding>), ConfigErrors> {
        let (mut errors, mut warnings) = (self.errors.into_inner(), self.warnings.into_inner());
        errors.sort();
        warnings.sort();
        match value {
            Some(value) if errors.is_empty() => Ok((value, warnings)),
            _ => Err(ConfigErrors(errors)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(order: usize, line: usize) -> Place {
        Place { order, line, column: 1, file: format!("{order}.toml").into() }
    }

    #[test]
    fn errors_come_in_the_order_of_the_files_one_per_line() {
        let findings = Findings::default();
        findings.error(Some(at(1, 2)), "c");
        findings.error(Some(at(0, 10)), "b");
        findings.error(Some(at(0, 9)), "a");
        findings.error(None, "no place");
        let errors = findings.finish(Some(())).unwrap_err();
        assert_eq!(errors.to_string(), "no place\n0.toml:9:1: a\n0.toml:10:1: b\n1.toml:2:1: c");
        assert_eq!(errors.first(), "no place (and 3 more)");
    }

    #[test]
    fn warnings_alone_are_no_error() {
        let findings = Findings::default();
        findings.warning(Some(at(0, 1)), "mind this");
        let ((), warnings) = findings.finish(Some(())).unwrap();
        assert_eq!(warnings[0].to_string(), "0.toml:1:1: mind this");
    }
}
