//! The manual pages of the daemon and of its configuration, held to the arguments and to the guide that they are made from.
//!
//! `make man` writes them anew; without it the test says which one is out of date. Those of the command line are beside its code.

#![expect(clippy::unwrap_used, reason = "a test that cannot read the documentation has failed")]

use std::fmt::Write;
use std::fs;
use std::path::Path;

use clap::CommandFactory;
use clap_mangen::Man;
use tokenkeeperd::daemon::Arguments;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Set by `make man`.
const WRITE: &str = "TOKENKEEPER_WRITE_MAN";

/// What the daemon's page has beside its arguments.
const FILES: &str = r".SH FILES
.TP
/etc/tokenkeeper/tokenkeeper.toml, /etc/tokenkeeper/conf.d/*.toml
The configuration, see tokenkeeper.toml(5); ~/.config/tokenkeeper with --user.
.TP
/etc/tokenkeeper/secrets/
Client secrets, written by tokenkeeper\-provider\-set\-secret(1).
.TP
/var/lib/tokenkeeper/
The keyring, the store and its anchor, and the identity where systemd does not seal it; ~/.local/state/tokenkeeper with --user.
.TP
/etc/credstore.encrypted/tokenkeeper.identity
The identity, sealed by systemd.
.TP
/run/tokenkeeper/tokenkeeper.sock, /run/tokenkeeper/http.sock
The sockets; below $XDG_RUNTIME_DIR with --user.
.SH SEE ALSO
tokenkeeper(1), tokenkeeper.toml(5)
";

#[test]
fn the_page_of_the_daemon_is_made_from_its_arguments() {
    let command = Arguments::command();
    let man = Man::new(command.clone()).section("8").source(version()).manual("tokenkeeper");
    let mut text = Vec::new();
    man.render_title(&mut text).unwrap();
    man.render_name_section(&mut text).unwrap();
    man.render_synopsis_section(&mut text).unwrap();
    man.render_description_section(&mut text).unwrap();
    man.render_options_section(&mut text).unwrap();
    let mut text = String::from_utf8(text).unwrap() + ".SH COMMANDS\n";
    command.get_subcommands().for_each(|it| text.push_str(&subcommand(it)));
    for part in command.get_after_help().unwrap().to_string().split("\n\n") {
        let (heading, rest) = part.split_once(':').unwrap();
        let example = heading == "Examples";
        writeln!(text, ".SH {:?}{}", heading.to_uppercase(), if example { "\n.nf" } else { "" }).unwrap();
        for line in rest.lines().filter(|line| !line.trim().is_empty()) {
            writeln!(text, "{}", escape(line.trim())).unwrap();
        }
        text.push_str(if example { ".fi\n" } else { "" });
    }
    hold("docs/man/tokenkeeperd.8", &(text + FILES));
}

/// What the page of the daemon says of one of its commands.
fn subcommand(command: &clap::Command) -> String {
    let mut text = format!(".SS tokenkeeperd {}\n", escape(command.get_name()));
    let about = command.get_long_about().or(command.get_about()).unwrap().to_string();
    for line in about.lines() {
        writeln!(text, "{}", if line.is_empty() { ".PP".to_owned() } else { escape(line) }).unwrap();
    }
    for argument in command.get_arguments() {
        let value = argument.get_value_names().filter(|_| argument.get_action().takes_values());
        let value = value.map(|names| format!("\\fI{}\\fR", names[0])).unwrap_or_default();
        let name =
            argument.get_long().map(|long| format!("\\fB{}\\fR ", escape(&format!("--{long}")))).unwrap_or_default();
        let help = argument.get_help().unwrap().to_string();
        writeln!(text, ".TP\n{}\n{}", (name + &value).trim_end(), escape(&help)).unwrap();
    }
    text
}

#[test]
fn the_page_of_the_configuration_is_made_from_its_guide() {
    let guide = fs::read_to_string(Path::new(ROOT).join("docs/guide/configuration.md")).unwrap();
    let (_title, body) = guide.split_once("\n\n").unwrap();
    let head = format!(
        ".TH tokenkeeper.toml 5 \"\" {:?} tokenkeeper\n.SH NAME\ntokenkeeper.toml \\- configuration of tokenkeeperd\n.SH DESCRIPTION\n",
        version()
    );
    hold(
        "docs/man/tokenkeeper.toml.5",
        &format!("{head}{}.SH SEE ALSO\ntokenkeeperd(8), tokenkeeper(1)\n", roff(body)),
    );
}

#[test]
fn markdown_becomes_what_man_shows() {
    let page = "Text with `code`,\nand a [link](x.md#y).\n\n## `[table]`\n\n| key | default | meaning |\n|---|---|---|\n| `a` | `1` | is \\| that |\n\n- **one**\n  more\n\n```toml\n.key = 'x'\n```\n";
    let expected = "Text with \\fBcode\\fR,\nand a link.\n.SH \\fB[table]\\fR\n.TP\n\\fBa\\fR\n(default: \\fB1\\fR)\nis | that\n.IP \\(bu 2\n\\fBone\\fR\nmore\n.PP\n.nf\n.RS 4\n\\&.key = 'x'\n.RE\n.fi\n";
    assert_eq!(roff(page), expected);
}

/// The Markdown that our guides are written in, as input for man(7).
fn roff(markdown: &str) -> String {
    let (mut out, mut titles, mut in_code) = (String::new(), Vec::new(), false);
    let mut lines = markdown.lines().peekable();
    while let Some(line) = lines.next() {
        let is_table = line.starts_with('|');
        if line.starts_with("```") {
            out.push_str(if in_code { ".RE\n.fi\n" } else { ".nf\n.RS 4\n" });
            in_code = !in_code;
        } else if in_code {
            writeln!(out, "{}", escape(line)).unwrap();
        } else if let Some(heading) = line.strip_prefix("### ") {
            writeln!(out, ".SS {}", inline(heading)).unwrap();
        } else if let Some(heading) = line.strip_prefix("## ") {
            writeln!(out, ".SH {}", inline(heading)).unwrap();
        } else if is_table && titles.is_empty() {
            titles = cells(line);
        } else if is_table && !line.starts_with("|--") {
            row(&mut out, &titles, &cells(line));
        } else if let Some(item) = line.strip_prefix("- ") {
            writeln!(out, ".IP \\(bu 2\n{}", inline(item)).unwrap();
        } else if line.is_empty() {
            titles.clear();
            // Headings, tables, lists and code begin a paragraph by themselves.
            let begins = |next: &&str| !next.starts_with(['#', '|', '-']);
            if lines.peek().is_some_and(begins) {
                out.push_str(".PP\n");
            }
        } else if !is_table {
            writeln!(out, "{}", inline(line.trim())).unwrap();
        }
    }
    out
}

/// The first cell is the tag, the last one explains it, and those between are named by the head of the table.
fn row(out: &mut String, titles: &[String], cells: &[String]) {
    let Some((tag, rest)) = cells.split_first() else { return };
    let Some((text, between)) = rest.split_last() else { return };
    writeln!(out, ".TP\n{}", inline(tag)).unwrap();
    let named = between.iter().zip(&titles[1..]).filter(|(cell, _)| !cell.is_empty());
    let named: Vec<_> = named.map(|(cell, title)| format!("{title}: {cell}")).collect();
    if !named.is_empty() {
        writeln!(out, "({})", inline(&named.join("; "))).unwrap();
    }
    let title = titles.last().filter(|title| !between.is_empty() && *title != "meaning");
    let title = title.map(|title| format!("{title}: ")).unwrap_or_default();
    writeln!(out, "{}", inline(&(title + text))).unwrap();
}

fn cells(line: &str) -> Vec<String> {
    let inside = line.trim_matches('|').replace("\\|", "\u{0}");
    inside.split('|').map(|cell| cell.trim().replace('\u{0}', "|")).collect()
}

/// Code and emphasis in bold, links as their text.
fn inline(text: &str) -> String {
    let mut text = text.to_owned();
    while let Some((before, rest)) = text.split_once('[').filter(|(_, rest)| rest.contains("](")) {
        let Some((label, after)) = rest.split_once("](") else { break };
        let Some((_, after)) = after.split_once(')').filter(|_| !label.contains('`')) else { break };
        text = format!("{before}{label}{after}");
    }
    let text = escape(&text).replace("**", "`");
    let mut bold = false;
    text.split_inclusive('`')
        .map(|part| match part.strip_suffix('`') {
            Some(part) => {
                bold = !bold;
                format!("{part}{}", if bold { "\\fB" } else { "\\fR" })
            }
            None => part.to_owned(),
        })
        .collect()
}

/// A line that means only what it says.
fn escape(line: &str) -> String {
    let line = line.replace('\\', "\\e").replace('-', "\\-");
    if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line }
}

fn version() -> &'static str {
    concat!("tokenkeeper ", env!("CARGO_PKG_VERSION"))
}

/// The file says `text`, or is made to say it where pages are to be written.
#[track_caller]
fn hold(path: &str, text: &str) {
    let path = Path::new(ROOT).join(path);
    if std::env::var_os(WRITE).is_some() {
        fs::write(&path, text).unwrap();
    }
    let there = fs::read_to_string(&path).unwrap_or_default();
    assert!(there == text, "{} is out of date: run `make man`", path.display());
}
