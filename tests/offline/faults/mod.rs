//! Every fault has its sentence: one table says what goes wrong, what the caller reads, how the command ends and what is audited.
//!
//! [`table`] is the table, [`runner`] makes each row happen to the real programs, and `docs/errors.md` is written from it.

mod as_root;
mod document;
mod local;
mod over_http;
mod row;
mod runner;
mod table;
mod template;

use row::{Entry, When};
use runner::{Way, run_all};

/// Runs the rows of one kind.
fn run(when: When) {
    let all = table::all();
    let rows: Vec<_> = all.iter().flat_map(|entry| &entry.rows).filter(|row| row.when == when).collect();
    assert!(!rows.is_empty(), "the table has no row for {when:?}");
    for way in [Way::CommandLine, Way::Http] {
        run_all(&rows, way);
    }
}

#[test]
fn what_goes_wrong_with_discovery_is_told() {
    run(When::Begin);
}

#[test]
fn what_goes_wrong_with_an_exchange_is_told() {
    run(When::Exchange);
}

#[test]
fn what_goes_wrong_with_finding_out_who_came_is_told() {
    run(When::Identify);
}

#[test]
fn what_goes_wrong_with_a_login_by_a_code_is_told() {
    run(When::Code);
}

#[test]
fn what_goes_wrong_with_a_service_account_is_told() {
    run(When::Account);
}

#[test]
fn what_goes_wrong_with_a_refresh_is_told() {
    run(When::Refresh);
}

#[test]
fn what_goes_wrong_with_a_revocation_is_told() {
    run(When::Logout);
}

#[test]
fn what_goes_wrong_on_this_machine_is_told() {
    run(When::Here);
}

#[test]
fn every_fault_says_what_it_means_and_what_to_do_and_has_a_row() {
    let entries = table::all();
    let mut names: Vec<_> = entries.iter().map(|entry| entry.name).collect();
    for Entry { name, means, next, rows, .. } in &entries {
        assert!(means.ends_with('.') && next.ends_with('.') && !rows.is_empty(), "{name}");
    }
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), entries.len(), "a fault stands in the table twice");
}
