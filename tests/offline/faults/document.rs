//! `docs/errors.md` is the table in words. A test keeps it so, and writes it when it is told to.

use std::fmt::Write as _;
use std::path::Path;

use tokenkeeper_protocol::Code;

use super::row::{Entry, Row, When};
use super::table;

const HEAD: &str = "# Errors

What can go wrong, what is said then, what it means and what to do. This page is written from the table in
`tests/offline/faults`, every row of which is made to happen with the real daemon, once by the command line and, where it has an HTTP status, once over HTTP.

`corp` stands for the name of the provider, `7k3vq2mx` for the session, and other words in `{braces}` for what varies. The code in front of a sentence is that of
[the protocol](protocol.md); `--json` gives it as `code`. An exit status of 0 means that it works all the same. Over HTTP the status is\nthat of the code, and the sentence is the `detail` of the problem, without advice on commands. The audit events stand
in [the audit trail](audit.md).
";

/// Every row's page.
fn page() -> String {
    let mut page = HEAD.to_owned();
    for part in table::parts() {
        let _ = write!(page, "\n## {}\n", part.heading);
        for Entry { name, means, next, rows } in &part.entries {
            let _ = write!(page, "\n### {name}\n\n{means}\n\n**What to do:** {next}\n\n");
            page.push_str("| when | exit | HTTP | audit event | what is said |\n|---|---|---|---|---|\n");
            for row in rows {
                let _ = writeln!(page, "| {} |", cells(row).map(|cell| cell.replace('|', "\\|")).join(" | "));
            }
        }
    }
    page
}

fn cells(row: &Row) -> [String; 5] {
    let during = match row.when {
        When::Begin => "login begins: ",
        When::Exchange | When::Identify => "login: ",
        When::Code => "login with a code: ",
        When::Account => "service account: ",
        When::Refresh => "refresh: ",
        When::Logout => "logout: ",
        When::Here | When::AsRoot => "",
    };
    let audit = row.audit.as_ref().map_or_else(|| "-".to_owned(), |(event, _)| format!("`{event}`"));
    let works = (row.exit == 0).then_some(200);
    let http = row.code.map(Code::http_status).or(works).map_or_else(|| "-".to_owned(), |status| status.to_string());
    let advice = if row.advice.is_empty() { String::new() } else { format!("\n{}", row.advice) };
    let said = format!("{}{}{advice}", row.label, row.sentence);
    let said =
        [("{provider}", "corp"), ("{session}", "7k3vq2mx")].iter().fold(said, |said, (gap, it)| said.replace(gap, it));
    let lines: Vec<_> = said.lines().map(|line| format!("`{}`", line.trim().replace('`', "'"))).collect();
    [format!("{during}{}", row.what), row.exit.to_string(), http, audit, lines.join("<br>")]
}

#[test]
fn the_page_of_errors_is_what_the_table_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/errors.md");
    let page = page();
    if std::env::var_os("TOKENKEEPER_WRITE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == page, "docs/errors.md is not what the table says; run this test with TOKENKEEPER_WRITE_DOCS=1");
}
