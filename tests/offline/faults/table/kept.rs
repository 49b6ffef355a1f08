//! Faults that are about what is kept: an old copy of it, or nothing.

use tokenkeeper_protocol::Code;

use super::super::local;
use super::super::row::{Entry, How, Row, When, gives_up, refused};

pub(super) fn entries() -> Vec<Entry> {
    vec![
        Entry {
            name: "An old copy of the store was put back",
            means: "The refresh token of the session may be a spent one, and a provider that is sent one again can end the whole session. So it is kept back until the access token has expired.",
            next: "Log in again, or ask an administrator, who knows whether anything was refreshed since the copy was made. The access token that there is goes on being handed out.",
            rows: vec![
                Row::new(
                    "a new token is wanted",
                    When::Here,
                    How::Here(local::old_copy),
                    refused(
                        Code::TryLater,
                        "try later: ",
                        "the store was put back from an older copy, so session {session} gets no new token before this one expires, in {n} s; \
                         log in again, or an administrator runs `tokenkeeper store accept-rollback`",
                    )
                    .advises("Try again in {m}s."),
                )
                .audits("rollback_noticed", &[("why", "the store is at generation …")]),
            ],
        },
        Entry {
            name: "Nothing is kept of the user",
            means: "Nobody of this name has logged in at this provider, or what was kept of them is erased already.",
            next: "Look whether the name is spelled as the provider spells it.",
            rows: vec![Row::new(
                "`tokenkeeper erase` of a stranger",
                When::Here,
                How::Here(local::nobody_to_erase),
                refused(
                    Code::NotFound,
                    "not found: ",
                    "nothing is kept of that user at corp; `tokenkeeper sessions --provider corp` lists who has sessions there",
                ),
            )],
        },
        Entry {
            name: "Nobody confirms the erasure",
            means: "What is erased is gone, so a person has to say yes.",
            next: "Run it in a terminal, or with `--yes`.",
            rows: vec![Row::new(
                "in a script",
                When::Here,
                How::Here(local::unconfirmed_erasure),
                gives_up(64, "this cannot be undone, and nobody is there to confirm it; run it in a terminal, or with --yes"),
            )],
        },
    ]
}
