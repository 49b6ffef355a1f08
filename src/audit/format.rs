//! The two forms of a record: BSD syslog (RFC 3164) with `key="value"` pairs for the local socket, because journald does not read
//! RFC 5424; and RFC 5424 with structured data for every receiver that does. Both go to facility authpriv.
//!
//! The time in front is that of sending, in UTC; the time of the event is its field `at`.

use std::collections::BTreeMap;
use std::fmt;

use syslog::{Facility, Formatter3164, Formatter5424, LogFormat};

use super::Event;
use super::record::Record;

const PROCESS: &str = "tokenkeeperd";

/// Names our structured data (RFC 5424 section 6.3.2). 32473 is the enterprise number that RFC 5612 sets aside for examples:
/// the project has none of its own, and taking somebody else's would be worse.
const STRUCTURED_DATA_ID: &str = "tokenkeeper@32473";

/// A form of record, with what all records of this process have in common.
pub(super) enum Form {
    /// RFC 3164.
    Bsd(Formatter3164),
    /// RFC 5424.
    Structured(Formatter5424),
}

impl Form {
    /// For `/dev/log`. It carries no host name: readers of that socket would take it for the tag.
    pub(super) fn bsd(pid: u32) -> Self {
        let (facility, process) = (Facility::LOG_AUTHPRIV, PROCESS.to_owned());
        Self::Bsd(Formatter3164 { facility, hostname: None, process, pid })
    }

    /// For receivers that know RFC 5424. A `hostname` that is no `PRINTUSASCII` is given as unknown.
    pub(super) fn structured(pid: u32, hostname: &str) -> Self {
        let printable = (1..=255).contains(&hostname.len()) && hostname.bytes().all(|byte| byte.is_ascii_graphic());
        let hostname = Some(if printable { hostname } else { "-" }.to_owned());
        let (facility, process) = (Facility::LOG_AUTHPRIV, PROCESS.to_owned());
        Self::Structured(Formatter5424 { facility, hostname, process, pid })
    }

    /// The whole message, without framing.
    pub(super) fn render(&self, event: &Event) -> Vec<u8> {
        let record = Record::from(event);
        let severity = record.severity;
        let mut message = Vec::with_capacity(512);
        let written = match self {
            Self::Bsd(formatter) => formatter.format(&mut message, severity, Pairs(&record)),
            Self::Structured(formatter) => {
                let words = record.name.replace('_', " ");
                let fields = record.fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
                // The formatter quotes the values.
                let data = BTreeMap::from([(STRUCTURED_DATA_ID.to_owned(), fields)]);
                formatter.format(&mut message, severity, (record.number, data, words))
            }
        };
        written.expect("writing to memory does not fail");
        message
    }
}

/// `key="value"` pairs, separated by spaces; `"` and `\` in a value stand behind a `\`.
struct Pairs<'a>(&'a Record);

impl fmt::Display for Pairs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, (name, value)) in self.0.fields.iter().enumerate() {
            let separator = if position == 0 { "" } else { " " };
            write!(f, "{separator}{name}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
