//! Failpoints are where tests want them, and nowhere else: nothing of them is in the daemon that is installed.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use aho_corasick::AhoCorasick;

use crate::support::failpoints::{points, program};

/// What they are ordered by: in every program that has them.
const MARK: &str = "TOKENKEEPER_FAILPOINTS";

#[test]
fn the_daemon_that_is_installed_has_no_failpoint() {
    let daemon = Path::new(env!("CARGO_BIN_EXE_tokenkeeperd"));
    assert_eq!(traces(daemon), BTreeSet::new());
    assert_eq!(version(daemon), format!("tokenkeeperd {}", env!("CARGO_PKG_VERSION")));
}

#[test]
fn the_daemon_of_the_tests_has_every_failpoint_and_says_so() {
    assert_eq!(traces(program()), all());
    assert_eq!(version(program()), format!("tokenkeeperd {} with failpoints, for tests", env!("CARGO_PKG_VERSION")));
}

#[test]
fn the_failpoints_are_listed_where_the_tests_are_described() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/testing.md")).unwrap();
    let listed = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`').map(|(name, _)| name));
    let mut listed: Vec<_> = listed.filter(|name| name.contains('.')).map(str::to_owned).collect();
    listed.sort();
    assert_eq!(listed, points().into_iter().map(|point| point.name).collect::<Vec<_>>());
}

/// Whatever a program with failpoints holds and no other.
fn all() -> BTreeSet<String> {
    points().into_iter().map(|point| point.name).chain([MARK.to_owned()]).collect()
}

/// What of that a program holds.
fn traces(program: &Path) -> BTreeSet<String> {
    let (bytes, all) = (fs::read(program).unwrap(), Vec::from_iter(all()));
    let searched = AhoCorasick::new(&all).unwrap();
    searched.find_overlapping_iter(&bytes).map(|found| all[found.pattern().as_usize()].clone()).collect()
}

fn version(program: &Path) -> String {
    let output = Command::new(program).arg("--version").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}
