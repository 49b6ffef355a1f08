//! Keeps `docs/protocol.md` true: its tables are compared with the code.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use tokenkeeper_protocol::Code;

#[test]
fn the_error_table_of_the_documentation_is_the_one_of_the_code() {
    let document = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/protocol.md")).unwrap();
    let documented = rows_behind(&document, "## Problems");
    let codes = Code::ALL.iter().map(|code| {
        let name = format!("`{}`", code.name());
        [u16::from(*code).to_string(), name, code.exit_status().to_string(), code.http_status().to_string()]
    });
    assert_eq!(documented, codes.collect::<Vec<_>>());
}

/// The first four cells of the rows that begin with a number, in the chapter under `heading`.
fn rows_behind(document: &str, heading: &str) -> Vec<[String; 4]> {
    let chapter = document.split_once(heading).map_or("", |(_, behind)| behind);
    let chapter = chapter.split("\n## ").next().unwrap_or_default();
    chapter
        .lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix("| ")?.split(" | ").map(|cell| cell.trim().to_owned());
            let row = [cells.next()?, cells.next()?, cells.next()?, cells.next()?];
            row[0].parse::<u16>().is_ok().then_some(row)
        })
        .collect()
}
