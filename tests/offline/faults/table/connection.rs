//! Names, connections and TLS: the request never left, or its answer never came.

use super::super::row::{End, Entry, How, Row, When, failed, later, misconfigured, works};
use crate::support::{Fault, Tls};

pub(super) fn entries() -> Vec<Entry> {
    let mut all = vec![
        Entry {
            name: "The name has no address",
            means: "The resolver of this machine does not know the host of the provider.",
            next: "Look for a mistake in `issuer`, then ask the resolver: `getent hosts NAME`.",
            rows: vec![Row::new(
                "the host of the issuer does not exist",
                When::Begin,
                How::Issuer("https://id.invalid"),
                later("cannot find id.invalid: {cause}; check the name, and the DNS of this machine"),
            )],
        },
        Entry {
            name: "The connection is refused",
            means: "The host is there, and nothing listens at the port.",
            next: "Look whether the provider runs, and whether a firewall is in between. It is tried again by itself.",
            rows: vec![
                Row::new("nobody listens", When::Begin, How::Down, later(REFUSED)),
                Row::new("nobody listens", When::Refresh, How::Down, later(REFUSED)),
                revocation("nobody listens", How::Down, "pending: cannot connect to {host}: …"),
            ],
        },
        Entry {
            name: "The provider is too slow",
            means: "The request was sent, and there was no complete answer within `timeout`.",
            next: "Nothing, if it passes. Else ask the provider, or give it more time with `timeout`.",
            rows: vec![
                Row::new("no answer", When::Begin, How::Does(Fault::Hold), later(SLOW)).with(SHORT),
                Row::new("no answer", When::Exchange, How::Does(Fault::Hold), later(SLOW)).with(SHORT),
                Row::new("no answer", When::Identify, How::At("/jwks", Fault::Hold), unidentified(SLOW)).with(SHORT),
                Row::new("no answer", When::Refresh, How::Does(Fault::Hold), later(SLOW)).with(SHORT),
                pending("no answer", Fault::Hold, "pending: no complete answer from {host} within 2 s").with(SHORT),
            ],
        },
        Entry {
            name: "The connection breaks",
            means: "The request was sent, and the connection ended before the answer was complete. A refresh may have happened: its \
                    refresh token is not spent a second time while the access token lives, unless `reuse_grace` allows it.",
            next: "Nothing, if it passes. If it stays, look for a proxy or load balancer that gives up early.",
            rows: vec![
                Row::new("closed before the answer", When::Begin, How::Does(Fault::DropBefore), later(BROKEN)),
                Row::new("closed before the answer", When::Exchange, How::Does(Fault::DropBefore), later(BROKEN)),
                Row::new("closed in the middle of the body", When::Begin, How::Does(Fault::CutShort), later(BROKEN)),
                Row::new("closed in the middle of the body", When::Exchange, How::Does(Fault::CutShort), later(BROKEN)),
                Row::new("closed in the middle of the body", When::Refresh, How::Does(Fault::CutShort), later(BROKEN)),
                Row::new(
                    "closed in the middle of the key set",
                    When::Identify,
                    How::At("/jwks", Fault::CutShort),
                    unidentified(BROKEN),
                ),
                Row::new(
                    "an error that is closed in its middle",
                    When::Refresh,
                    How::Does(Fault::CutError(400, r#"{"error":"invalid_grant"}"#)),
                    later(&format!("the token endpoint answered HTTP 400, and its reason could not be read: {BROKEN}")),
                ),
                Row::new("closed after everything was done", When::Refresh, How::Does(Fault::DropAfter), later(BROKEN)),
                pending(
                    "closed before the answer",
                    Fault::DropBefore,
                    "pending: the connection to {host} broke before its answer was complete: …",
                ),
            ],
        },
    ];
    all.push(Entry {
        name: "Nothing answers",
        means: "There is no connection within half of `timeout`: a host that is switched off, a firewall that drops what it does not like, or a \
                server that does not begin its side of TLS.",
        next: "Look whether the provider runs, and whether a firewall is in between. It is tried again by itself.",
        rows: vec![
            Row::new(
                "silent in the handshake",
                When::Begin,
                How::Tls(Tls::Silent),
                later(
                    "cannot connect to {host}: nothing answers within 1 s; \
                     check that it runs, and that no firewall is in between",
                ),
            )
            .with(SHORT),
        ],
    });
    all.extend(handshakes());
    all
}

fn handshakes() -> Vec<Entry> {
    let entry = |name, means, next, rows: Vec<(&'static str, Tls, bool, &str)>| {
        let row = |(what, tls, lasting, why): (&'static str, Tls, bool, &str)| {
            let why = format!("no secure connection to {{host}}: {why}");
            let end = if lasting { misconfigured(&why) } else { later(&why) };
            Row::new(what, When::Begin, How::Tls(tls), end)
        };
        Entry { name, means, next, rows: rows.into_iter().map(row).collect() }
    };
    vec![
        entry(
            "Nobody vouches for the certificate",
            "The provider shows a certificate that no authority known to this machine has signed. Either that is meant to be, as with \
             an authority of your own, or somebody stands in between.",
            "Put the authority's certificate in PEM form on this machine and name it in `ca_file`. For a certificate that signs itself, \
             that is the certificate.",
            vec![
                ("signed by an unknown authority", Tls::UnknownAuthority, true, UNKNOWN),
                ("signed by itself", Tls::SelfSigned, true, UNKNOWN),
            ],
        ),
        entry(
            "The certificate is that of an authority",
            "The server shows the certificate of a certificate authority as its own, as `openssl req -x509` makes them.",
            "Make a certificate for the server (`basicConstraints=CA:FALSE`), sign it with the authority, and name the authority in \
             `ca_file`.",
            vec![(
                "signed by itself, with CA:TRUE",
                Tls::AuthorityAsServer,
                true,
                "its certificate is that of an authority, where that of a server should be; \
                 give the server a certificate that is signed by the authority (CA:FALSE)",
            )],
        ),
        entry(
            "The certificate is for another name",
            "The certificate is good, and does not name the host in the address.",
            "Write the address with a name that the certificate has, or have the certificate made for this one.",
            vec![(
                "for id.corp.example",
                Tls::WrongName,
                true,
                "its certificate is for id.corp.example; correct the address, or the certificate",
            )],
        ),
        entry(
            "The certificate expired",
            "Its last day is past, as far as the clock of this machine can tell.",
            "See that the clock is right (`timedatectl`). If it is, the provider has to renew the certificate.",
            vec![(
                "expired on 2020-02-01",
                Tls::Expired,
                false,
                "its certificate expired on 2020-02-01; \
                 it has to be renewed there, unless the clock of this machine is wrong",
            )],
        ),
        entry(
            "The certificate is not valid yet",
            "Its first day is to come. Mostly the clock of this machine is wrong.",
            "Set the clock (`timedatectl`).",
            vec![(
                "valid from 2100-01-01",
                Tls::NotYetValid,
                false,
                "its certificate becomes valid on 2100-01-01; check the clock of this machine",
            )],
        ),
        entry(
            "There is no TLS at the port",
            "What listens there answers in something else, mostly in plain HTTP.",
            "Correct the port in the address. Plain `http://` is only for providers on this machine.",
            vec![(
                "plain HTTP",
                Tls::PlainHttp,
                true,
                "what answers there is not TLS; correct the port, or the https of the address",
            )],
        ),
        entry(
            "The handshake is cut off",
            "The other end hung up before there was a secure connection, without a word.",
            "Look for a proxy or firewall in between. Some servers do this to clients without a certificate of their own.",
            vec![(
                "closed after the greeting",
                Tls::CutOff,
                false,
                "it hung up in the middle of the handshake; \
                 look for a proxy or firewall in between, and whether it wants a client certificate",
            )],
        ),
        entry(
            "The server's TLS is too old",
            "The server speaks no TLS 1.2 and no TLS 1.3. Older versions are not secure, and not spoken here.",
            "Have the server upgraded.",
            vec![("TLS 1.1", Tls::TooOld, true, "it speaks no TLS 1.2 or later; the server has to be upgraded")],
        ),
        entry(
            "The server declines the handshake",
            "The server says that it will not go on; its alert says why, in a word.",
            "Look into the log of the server. `HandshakeFailure` is mostly a set of ciphers that has nothing in common with ours.",
            vec![(
                "alert handshake_failure",
                Tls::Declined,
                false,
                "it ended the handshake with the alert HandshakeFailure; its log may say why",
            )],
        ),
    ]
}

const SHORT: &[&str] = &["timeout = \"2s\""];
const REFUSED: &str = "cannot connect to {host}: {cause}; check that it runs, and that no firewall is in between";
const SLOW: &str = "no complete answer from {host} within 2 s";
const BROKEN: &str = "the connection to {host} broke before its answer was complete: {cause}";
const UNKNOWN: &str = "its certificate is signed by an authority that this machine does not know, or by itself; \
                       if that is meant to be, name the authority's certificate in ca_file";

/// The code is spent, and nobody knows who came.
pub(super) fn unidentified(why: &str) -> End {
    failed(&format!("it could not be found out who logged in: {why}"))
}

/// A logout whose revocation goes on: that is no failure of the command.
pub(super) fn pending(what: &'static str, fault: Fault, outcome: &'static str) -> Row {
    revocation(what, How::Does(fault), outcome)
}

fn revocation(what: &'static str, how: How, outcome: &'static str) -> Row {
    let says = "Logged out of session {session}: the provider could not be told yet; the daemon goes on trying.";
    Row::new(what, When::Logout, how, works(says)).tells("outcome", outcome)
}
