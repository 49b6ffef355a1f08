//! An event as the history of a session tells it: in the words of the audit trail, without what its reader knows already.

use super::Event;
use super::record::Record;

/// Fields that stand apart, or that are the same all through the history of a session. A hand-out in a history is one of any
/// number: there its count would mislead.
const APART: &[&str] = &["event", "at", "session", "provider", "peer", "count"];

/// An event in a few words, fit to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Its name in the audit trail.
    pub event: &'static str,
    /// The peer that did it, if one did.
    pub peer: Option<String>,
    /// The fields that are left, each with its name.
    pub detail: String,
}

impl From<&Event> for Summary {
    fn from(event: &Event) -> Self {
        let Record { name, fields, .. } = Record::from(event);
        let peer = fields.iter().find(|(name, _)| *name == "peer").map(|(_, peer)| peer.clone());
        let rest = fields.iter().filter(|(name, _)| !APART.contains(name));
        let rest: Vec<_> = rest.map(|(name, value)| format!("{name}: {value}")).collect();
        Self { event: name, peer, detail: rest.join(", ") }
    }
}

#[cfg(test)]
mod tests {
    use tokenkeeper_protocol::UnixSeconds;

    use super::*;
    use crate::audit::What;

    fn summary(what: What) -> (&'static str, Option<String>, String) {
        let Summary { event, peer, detail } = Summary::from(&Event { at: UnixSeconds(0), what });
        (event, peer, detail)
    }

    #[test]
    fn a_summary_has_the_names_of_the_audit_trail_and_nothing_twice() {
        let (session, provider) = ("7k3vq2mx".parse().unwrap(), "corp".parse().unwrap());
        let why = "the provider answered\nHTTP 503".to_owned();
        assert_eq!(
            summary(What::RefreshFailed { session, provider, why, lost: None }),
            ("refresh_failed", None, "why: the provider answered<U+000A>HTTP 503, needs_login: false".to_owned())
        );
        let peer = "shop.service (uid 33, pid 812)".to_owned();
        assert_eq!(
            summary(What::TokenHandedOut { peer: peer.clone(), session, generation: 7, count: 1 }),
            ("token_handed_out", Some(peer), "generation: 7".to_owned())
        );
    }
}
