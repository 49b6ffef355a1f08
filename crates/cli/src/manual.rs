//! The manual pages and completion scripts in the repository, held to what the command line is.
//!
//! They are generated: `make man` writes them anew, and without it the test says which one is out of date.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use crate::arguments::Arguments;
use crate::command::Shell;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// Set by `make man`.
const WRITE: &str = "TOKENKEEPER_WRITE_MAN";

/// How a page begins.
const APOSTROPHES: &str = ".ie \\n(.g .ds Aq \\(aq\n.el .ds Aq '\n";

/// Commands that print no JSON: one writes a script for a shell.
const NO_JSON: &[&str] = &["tokenkeeper-completions"];

#[test]
fn the_manual_pages_are_those_of_this_command_line() {
    let directory = Path::new(ROOT).join("docs/man");
    let mut root = Arguments::command().disable_help_subcommand(true);
    root.build();
    let pages: Vec<_> = with_subcommands(&root).into_iter().map(|command| page(&command)).collect();
    for (name, text) in &pages {
        hold(&directory.join(name), text);
    }
    let entries = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let stray: Vec<_> = entries.filter(|name| is_ours(name) && !pages.iter().any(|(page, _)| page == name)).collect();
    assert!(stray.is_empty(), "pages of commands that are gone: {stray:?}");
}

#[test]
fn the_completion_scripts_are_those_of_this_version() {
    let directory = Path::new(ROOT).join("packaging/completions");
    for (shell, name) in
        [(Shell::Bash, "tokenkeeper.bash"), (Shell::Zsh, "_tokenkeeper"), (Shell::Fish, "tokenkeeper.fish")]
    {
        hold(&directory.join(name), &String::from_utf8(shell.script().unwrap()).unwrap());
    }
}

#[test]
fn every_command_teaches_by_example_and_tells_its_exit_status() {
    let mut root = Arguments::command().disable_help_subcommand(true);
    root.build();
    for command in with_subcommands(&root) {
        let name = command.get_bin_name().unwrap_or_default().to_owned();
        assert!(command.get_about().is_some(), "{name} does not say what it is for");
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        for part in ["Example", "Exit status"] {
            assert!(help.contains(part), "the help of `{name}` lacks {part:?}");
        }
        for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
            assert!(argument.get_help().is_some(), "{name}: {} is not explained", argument.get_id());
        }
    }
}

#[test]
fn the_schema_of_json_knows_every_command() {
    let schema = fs::read_to_string(Path::new(ROOT).join("docs/guide/json.schema.json")).unwrap();
    let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
    let mut root = Arguments::command().disable_help_subcommand(true);
    root.build();
    for command in with_subcommands(&root).iter().filter(|command| !command.has_subcommands()) {
        let name = command.get_bin_name().unwrap_or_default().replace(' ', "-");
        let known = name.strip_prefix("tokenkeeper-").is_some_and(|name| schema["$defs"].get(name).is_some());
        assert!(known || NO_JSON.contains(&name.as_str()), "docs/guide/json.schema.json lacks {name}");
    }
}

fn with_subcommands(command: &Command) -> Vec<Command> {
    let below = command.get_subcommands().filter(|below| !below.is_hide_set()).flat_map(with_subcommands);
    std::iter::once(command.clone()).chain(below).collect()
}

/// The name of a page and its text. It holds no date, so that it changes with the command line only.
fn page(command: &Command) -> (String, String) {
    let name = command.get_bin_name().unwrap_or("tokenkeeper").replace(' ', "-");
    let man = Man::new(command.clone())
        .title(&name)
        .section("1")
        .source(concat!("tokenkeeper ", env!("CARGO_PKG_VERSION")))
        .manual("tokenkeeper");
    let mut text = Vec::new();
    man.render_title(&mut text).unwrap();
    man.render_name_section(&mut text).unwrap();
    man.render_synopsis_section(&mut text).unwrap();
    man.render_description_section(&mut text).unwrap();
    man.render_options_section(&mut text).unwrap();
    if command.has_subcommands() {
        man.render_subcommands_section(&mut text).unwrap();
    }
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let others: &[&str] = if name == "tokenkeeper" { &[] } else { &["tokenkeeper(1)"] };
    let see = others.iter().chain(&["tokenkeeperd(8)", "tokenkeeper.toml(5)"]).copied().collect::<Vec<_>>().join(", ");
    let mut rest = Roff::new();
    for part in help.split("\n\n") {
        let (heading, lines) = heading(part);
        rest.control("SH", [heading]).control("nf", []);
        for line in lines {
            rest.text([roman(line.trim_start())]);
        }
        rest.control("fi", []);
    }
    rest.control("SH", ["SEE ALSO"]).text([roman(see)]);
    rest.to_writer(&mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    // Each part comes with it; once is enough.
    let text = text.strip_prefix(APOSTROPHES).map(|rest| rest.replace(APOSTROPHES, "")).unwrap();
    (format!("{name}.1"), [APOSTROPHES, &text].concat())
}

/// A part of the help that follows the options: its first line names it, alone or up to a colon.
fn heading(part: &str) -> (&'static str, Vec<&str>) {
    let (first, rest) = part.split_once(':').unwrap_or(("", part));
    let heading = if first.starts_with("Example") { "EXAMPLES" } else { "EXIT STATUS" };
    (heading, rest.lines().filter(|line| !line.trim().is_empty()).collect())
}

fn is_ours(name: &str) -> bool {
    (name == "tokenkeeper.1" || name.starts_with("tokenkeeper-"))
        && Path::new(name).extension().is_some_and(|section| section == "1")
}

/// The file says `text`, or is made to say it where pages are to be written.
#[track_caller]
fn hold(path: &PathBuf, text: &str) {
    if std::env::var_os(WRITE).is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let there = fs::read_to_string(path).unwrap_or_default();
    assert!(there == text, "{} is out of date: run `make man`", path.display());
}
