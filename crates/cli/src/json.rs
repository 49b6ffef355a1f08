//! JSON on standard output, and problems as JSON on standard error. The shapes are told in `docs/guide/json.md`.
//!
//! Characters that a terminal would obey are written as `\uXXXX`, so that a value cannot harm whoever looks at it.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};
use tokenkeeper_client as client;
use tokenkeeper_protocol::json::ProblemDetails;

use crate::escape::is_treacherous;

/// Writes one object on one line.
pub(crate) fn print(object: &impl Serialize) -> io::Result<()> {
    let mut out = io::stdout().lock();
    write(&mut out, object)?;
    out.flush()
}

/// Tells something on standard error that the person has to know before there is an answer.
pub(crate) fn print_note(object: &impl Serialize) {
    drop(write(&mut io::stderr().lock(), object));
}

/// Tells on standard error what went wrong. If that cannot be written, the exit status still says it.
pub(crate) fn print_error(problem: &Problem) {
    #[derive(Serialize)]
    struct Object<'a> {
        error: &'a Problem,
    }
    drop(write(&mut io::stderr().lock(), &Object { error: problem }));
}

/// A problem: the same keys whatever went wrong.
#[derive(Debug, Serialize)]
pub(crate) struct Problem {
    code: &'static str,
    message: String,
    exit_status: u8,
    #[serde(flatten)]
    details: ProblemDetails,
}

impl Problem {
    /// One that the daemon said nothing about.
    pub(crate) fn plain(code: &'static str, message: &str, exit_status: u8) -> Self {
        Self { code, message: message.to_owned(), exit_status, details: ProblemDetails::default() }
    }

    /// What the daemon said about it.
    pub(crate) fn with(self, problem: &client::Problem) -> Self {
        Self { details: ProblemDetails::from(problem), ..self }
    }
}

fn write(out: &mut impl Write, object: &impl Serialize) -> io::Result<()> {
    object.serialize(&mut Serializer::with_formatter(&mut *out, Safe))?;
    out.write_all(b"\n")
}

struct Safe;

impl Formatter for Safe {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        for text in fragment.split_inclusive(is_treacherous) {
            match text.chars().next_back().filter(|last| is_treacherous(*last)) {
                None => out.write_all(text.as_bytes())?,
                Some(last) => {
                    out.write_all(&text.as_bytes()[..text.len() - last.len_utf8()])?;
                    for unit in last.encode_utf16(&mut [0; 2]) {
                        write!(out, "\\u{unit:04x}")?;
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_reads_back_as_it_was_and_holds_nothing_a_terminal_obeys() {
        let nasty = "a\u{1b}[1m\u{9b}\u{202e}\u{e0041}\"\\ü\n";
        let mut bytes = Vec::new();
        write(&mut bytes, &nasty).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(text, "\"a\\u001b[1m\\u009b\\u202e\\udb40\\udc41\\\"\\\\ü\\n\"\n");
        assert_eq!(serde_json::from_str::<String>(&text).unwrap(), nasty);
    }
}
