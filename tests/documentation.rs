//! The documentation, held to what is there: links, configurations, command lines, names of tests, words of errors.
//!
//! Every key of the configuration, every audit event and every problem of the protocol is compared with its page by a test
//! beside its code. The Rust examples are compiled with the client's.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot read the documentation has failed")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tokenkeeperd::config::{Environment, Mode, Source, load};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// One file in Markdown.
struct Page {
    /// From the root of the project.
    path: String,
    text: String,
}

/// A block of code: what is written behind its fence, and its lines.
struct Block<'a> {
    language: &'a str,
    lines: Vec<&'a str>,
}

#[test]
fn every_link_leads_somewhere() {
    let broken = |page: &Page| -> Vec<String> {
        let from = Path::new(ROOT).join(&page.path);
        let links = page.prose().flat_map(links).filter(|link| !link.contains("://")).map(str::to_owned);
        links.filter(|link| !leads_somewhere(&from, link)).map(|link| format!("{}: {link}", page.path)).collect()
    };
    assert_none(pages().iter().flat_map(broken));
}

#[test]
fn every_decision_stands_in_the_index() {
    let index = Page::read("docs/decisions/README.md");
    let missing = pages().into_iter().filter_map(|page| {
        let name = page.path.strip_prefix("docs/decisions/")?.to_owned();
        (name != "README.md" && !index.text.contains(&format!("({name})"))).then_some(name)
    });
    assert_none(missing);
}

#[test]
fn every_example_of_a_configuration_is_valid() {
    let examples: Vec<_> = pages().iter().flat_map(|page| page.texts_in("toml")).collect();
    assert!(examples.len() >= 5, "there are examples");
    assert_none(examples.iter().filter_map(|example| complaint(example)));
}

#[test]
fn every_command_line_is_understood() {
    let lines: Vec<_> = pages().iter().flat_map(Page::commands).collect();
    assert!(lines.iter().any(|line| line == "tokenkeeper token corp"), "command lines are found: {lines:?}");
    assert_none(lines.iter().filter_map(|line| misunderstanding(line)));
}

#[test]
fn every_make_target_exists() {
    let makefile = fs::read_to_string(Path::new(ROOT).join("Makefile")).unwrap();
    let pages = pages();
    let lines = pages.iter().flat_map(Page::blocks).filter(|block| block.language == "sh");
    let targets = lines.flat_map(|block| block.lines).filter_map(|line| line.strip_prefix("make ")).flat_map(|line| {
        line.split('#').next().unwrap_or_default().split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    });
    assert_none(targets.filter(|target| !makefile.contains(&format!("\n{target}:"))));
}

#[test]
fn every_test_that_the_architecture_names_exists() {
    let page = Page::read("docs/architecture.md");
    let tests: Vec<_> = page.rows().filter_map(|row| row[1].split_once(".rs`: `")).collect();
    assert!(tests.len() >= 20, "tests are named");
    assert_none(tests.into_iter().filter_map(|(file, name)| {
        let (file, name) = (format!("{}.rs", file.trim_start_matches('`')), name.trim_end_matches('`'));
        let source = fs::read_to_string(Path::new(ROOT).join(&file)).unwrap_or_default();
        (!source.contains(&format!("fn {name}("))).then(|| format!("{file}: {name}"))
    }));
}

#[test]
fn every_metric_that_a_page_names_exists() {
    let known = Page::read("docs/metrics.md").text;
    let is_of_name = |c: char| c.is_ascii_lowercase() || c == '_';
    let is_metric = |word: &&str| word.starts_with("tokenkeeper_") && !word.starts_with("tokenkeeper_client");
    let named = |page: &Page| -> Vec<String> {
        page.text.split(|c| !is_of_name(c)).filter(is_metric).map(str::to_owned).collect()
    };
    let pages = pages();
    assert_none(pages.iter().flat_map(named).filter(|name| !known.contains(&format!("| `{name}` |"))));
}

#[test]
fn every_error_that_a_guide_explains_is_still_worded_so() {
    let sources = sources();
    let pages = ["docs/guide/sysadmin.md", "docs/guide/login.md"].map(Page::read);
    let explained: Vec<_> = pages.iter().flat_map(Page::explained).collect();
    assert!(explained.len() >= 30, "errors are explained");
    let lost = |sentence: &&str| !sentence.split('…').all(|part| sources.contains(part.trim()));
    assert_none(explained.into_iter().filter(lost).map(str::to_owned));
}

impl Page {
    fn read(path: &str) -> Self {
        let text = fs::read_to_string(Path::new(ROOT).join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        Self { path: path.to_owned(), text }
    }

    fn blocks(&self) -> Vec<Block<'_>> {
        let mut blocks = Vec::new();
        let mut open: Option<Block<'_>> = None;
        for line in self.text.lines() {
            match (line.strip_prefix("```"), open.take()) {
                (Some(language), None) => open = Some(Block { language, lines: Vec::new() }),
                (Some(_), Some(block)) => blocks.push(block),
                (None, Some(mut block)) => {
                    block.lines.push(line);
                    open = Some(block);
                }
                (None, None) => {}
            }
        }
        assert!(open.is_none(), "{}: a block of code does not end", self.path);
        blocks
    }

    /// The lines outside of blocks of code.
    fn prose(&self) -> impl Iterator<Item = &str> {
        let mut outside = true;
        self.text.lines().filter(move |line| {
            let is_fence = line.starts_with("```");
            outside ^= is_fence;
            outside && !is_fence
        })
    }

    fn texts_in(&self, language: &str) -> Vec<String> {
        self.blocks().iter().filter(|block| block.language == language).map(|block| block.lines.join("\n")).collect()
    }

    /// The first two cells of every row of every table.
    fn rows(&self) -> impl Iterator<Item = [&str; 2]> {
        self.prose().filter_map(|line| {
            let mut cells = line.strip_prefix("| ")?.split(" | ");
            Some([cells.next()?, cells.next()?.trim_end_matches(" |")])
        })
    }

    /// What the tables of "it says" quote.
    fn explained(&self) -> Vec<&str> {
        let tables = self.text.split("\n| it says |").skip(1).filter_map(|rest| rest.split("\n\n").next());
        tables.flat_map(str::lines).filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect()
    }

    /// Calls of our programs, as they stand in scripts and behind prompts.
    fn commands(&self) -> Vec<String> {
        let blocks = self.blocks();
        let lines = blocks.iter().flat_map(|block| {
            let is_script = block.language == "sh";
            block.lines.iter().filter_map(move |line| line.strip_prefix("$ ").or(is_script.then_some(*line)))
        });
        lines.flat_map(calls).collect()
    }
}

/// The calls of our programs in a line of shell.
fn calls(line: &str) -> Vec<String> {
    let code = line.split(" #").next().unwrap_or_default();
    let simple = code.split(['|', ';', '&', ')', '>', '(']).map(|part| part.trim().trim_start_matches("sudo "));
    simple
        .filter(|part| part.starts_with("tokenkeeper ") || part.starts_with("tokenkeeperd "))
        .map(str::to_owned)
        .collect()
}

/// What our program says to a command line that it does not understand. `--help` keeps it from doing anything.
fn misunderstanding(line: &str) -> Option<String> {
    // `$ref` is what a reader has set before.
    let mut words = line.split_whitespace().map(|word| if word == "$ref" { "7k3vq2mx" } else { word });
    let daemon = Path::new(env!("CARGO_BIN_EXE_tokenkeeperd"));
    let program = daemon.with_file_name(words.next()?);
    assert!(program.exists(), "{} is not there: run `cargo build --workspace` first", program.display());
    let output = Command::new(program).args(words).arg("--help").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (!output.status.success()).then(|| format!("{line}: {said}"))
}

/// What is wrong with a configuration. `alice` stands for whoever reads: users have to exist.
fn complaint(example: &str) -> Option<String> {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    };
    write("tokenkeeper.toml", &example.replace("user:alice", "user:0"));
    write("secrets/corp", "secret");
    write("corp-ca.pem", "");
    let source =
        Source { mode: Mode::System, file: Some(directory.path().join("tokenkeeper.toml")), only_checked: true };
    load(&source, &Environment::default()).err().map(|errors| format!("{example}\n{errors}"))
}

/// The targets of `[text](target)`.
fn links(line: &str) -> Vec<&str> {
    line.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect()
}

fn leads_somewhere(from: &Path, link: &str) -> bool {
    let (path, anchor) = link.split_once('#').map_or((link, None), |(path, anchor)| (path, Some(anchor)));
    let target = if path.is_empty() { from.to_owned() } else { from.with_file_name(path) };
    let has = |anchor: &str| fs::read_to_string(&target).is_ok_and(|text| anchors(&text).any(|it| it == anchor));
    target.exists() && anchor.is_none_or(has)
}

/// The anchors of headings, as GitHub makes them.
fn anchors(text: &str) -> impl Iterator<Item = String> {
    text.lines().filter(|line| line.starts_with('#')).map(|heading| {
        let words = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = words.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    })
}

/// Every page of the project.
fn pages() -> Vec<Page> {
    let in_root = fs::read_dir(ROOT).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    let found = in_root.chain(files_below(&Path::new(ROOT).join("docs"))).filter(|path| has_ending(path, "md"));
    let relative = found.map(|path| path.strip_prefix(ROOT).unwrap().to_string_lossy().into_owned());
    relative.map(|path| Page::read(&path)).collect()
}

/// The text of all programs.
fn sources() -> String {
    let directories = ["src", "crates"].map(|name| Path::new(ROOT).join(name));
    let files = directories.iter().flat_map(|directory| files_below(directory)).filter(|path| has_ending(path, "rs"));
    files.map(|path| fs::read_to_string(path).unwrap()).collect()
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

fn has_ending(path: &Path, ending: &str) -> bool {
    path.extension().is_some_and(|extension| extension == ending)
}

fn assert_none(complaints: impl Iterator<Item = String>) {
    let complaints: Vec<_> = complaints.collect();
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}
