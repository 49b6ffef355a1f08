//! The daemon with failpoints: where it is, what can be ordered, and what it writes down (`src/failpoint.rs`).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use nix::time::{ClockId, clock_gettime};
use tokenkeeper_protocol::SessionRef;

use super::Home;

/// A point in the sources.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Point {
    pub(crate) name: String,
    /// It can fail; any can be the end of the process.
    pub(crate) fails: bool,
}

/// A point was passed.
#[derive(Clone, Debug)]
pub(crate) struct Pass {
    /// By the clock of [`monotonic`].
    pub(crate) at: u64,
    pub(crate) name: String,
    pub(crate) session: Option<SessionRef>,
    pub(crate) came: Came,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Came {
    Nothing,
    Failed,
    Killed,
}

impl Home {
    /// The daemon with failpoints as a command that is not running yet. It belongs to whoever runs the tests, who may do everything.
    pub(crate) fn failpoint_command(&self, orders: &[String]) -> Command {
        let mut command = self.command_of(program());
        command.env("TOKENKEEPER_FAILPOINTS", orders.join(","));
        command.env("TOKENKEEPER_FAILPOINTS_LOG", self.passes_file());
        command.arg("--user").env("HOME", self.path("")).env("XDG_RUNTIME_DIR", self.path("run"));
        command
    }

    /// The passes of all lives so far, from byte `from` on; and where the next ones will begin.
    pub(crate) fn passes(&self, from: usize) -> (Vec<Pass>, usize) {
        let text = fs::read_to_string(self.passes_file()).unwrap_or_default();
        (text[from..].lines().map(read_pass).collect(), text.len())
    }

    fn passes_file(&self) -> PathBuf {
        self.path("failpoints")
    }
}

fn read_pass(line: &str) -> Pass {
    let words: Vec<_> = line.split(' ').collect();
    let [at, name, session, rest @ ..] = words.as_slice() else { panic!("{line:?} is no pass of a failpoint") };
    let came = match rest {
        [] => Came::Nothing,
        ["failed"] => Came::Failed,
        ["killed"] => Came::Killed,
        _ => panic!("{line:?} is no pass of a failpoint"),
    };
    let at = at.replacen('.', "", 1).parse().expect("a time begins the line");
    Pass { at, name: (*name).to_owned(), session: session.parse().ok(), came }
}

/// Now, in nanoseconds, by the clock that the daemon notes passes by.
pub(crate) fn monotonic() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("Linux has this clock");
    u64::try_from(now.tv_sec() * 1_000_000_000 + now.tv_nsec()).expect("the machine was not started before it was")
}

/// The program, which must not be older than what it is made of.
pub(crate) fn program() -> &'static Path {
    static PROGRAM: LazyLock<PathBuf> = LazyLock::new(find_program);
    &PROGRAM
}

fn find_program() -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_tokenkeeperd")).with_file_name("examples/tokenkeeperd-failpoints");
    let changed = |path: &Path| path.metadata().and_then(|metadata| metadata.modified()).ok();
    let newest = sources().iter().filter_map(|path| changed(path)).max();
    assert!(
        changed(&program) >= newest,
        "{} is not there, or older than the sources: run `make failpoints` first (`make test` does)",
        program.display()
    );
    program
}

/// Every point in the sources, sorted by name.
pub(crate) fn points() -> Vec<Point> {
    let mut found: Vec<_> = sources().iter().flat_map(|path| points_in(&fs::read_to_string(path).unwrap())).collect();
    found.sort();
    found.dedup();
    assert!(found.len() > 20, "the failpoints are found: {found:?}");
    found
}

fn points_in(source: &str) -> Vec<Point> {
    let calls = source.split(" failpoint!(").skip(1).filter_map(|call| {
        let (call, _) = call.split_once(");")?;
        let name = call.trim_start().strip_prefix('"')?.split_once('"')?.0.to_owned();
        Some(Point { name, fails: call.contains("=>") })
    });
    calls.collect()
}

/// The files in `src`.
fn sources() -> Vec<PathBuf> {
    let (mut found, mut directories) = (vec![], vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")]);
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { &mut directories } else { &mut found }.push(path);
        }
    }
    found
}
