//! Finds and reads the files: the main one, and `conf.d/*.toml` beside it in the order of their names.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::document::Document;
use super::finding::Findings;

/// The name of the main file, unless the command line names another.
pub(super) const MAIN_FILE: &str = "tokenkeeper.toml";

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Files {
    pub(super) documents: Vec<Document>,
    pub(super) paths: Vec<PathBuf>,
}

/// Reads `main` and the files beside it. Where nothing was named (`explicit`), nothing need be there.
pub(super) fn read(main: &Path, explicit: bool, findings: &Findings) -> Files {
    let mut files = Files::default();
    files.read_one(main, None, explicit, findings);
    let Some(directory) = main.parent() else { return files };
    warn_if_writable(directory, findings);
    warn_if_writable(&directory.join("secrets"), findings);

    let conf_d = directory.join("conf.d");
    let Some(fragments) = fragments(&conf_d, findings) else { return files };
    warn_if_writable(&conf_d, findings);
    for path in fragments {
        files.read_one(&path, main.file_name().map(Path::new), true, findings);
    }
    files
}

impl Files {
    fn read_one(&mut self, path: &Path, main: Option<&Path>, must_exist: bool, findings: &Findings) {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound && !must_exist => return,
            Err(error) => return findings.error(None, cannot_read(path, &error)),
        };
        warn_if_writable(path, findings);
        let name = path.file_name().map_or(path, Path::new);
        // Two files of one name must not be mistaken for each other.
        let name = if main == Some(name) { Path::new("conf.d").join(name) } else { name.to_owned() };
        let roots_alone = [Some(path), path.parent()].into_iter().flatten().all(is_roots_alone)
            // Whoever can write the directory that a link leads to can put another file there.
            && fs::canonicalize(path).is_ok_and(|real| real.parent().is_none_or(is_roots_alone));
        let document = Document::new(self.documents.len(), &name.to_string_lossy(), text);
        self.documents.push(document.for_root_alone(roots_alone));
        self.paths.push(path.to_owned());
    }
}

/// The paths of `conf.d/*.toml`, sorted; hidden files are an editor's and not ours.
fn fragments(conf_d: &Path, findings: &Findings) -> Option<Vec<PathBuf>> {
    let listed = fs::read_dir(conf_d).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let entries = match listed {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        Err(error) => {
            findings.error(None, cannot_read(conf_d, &error));
            return None;
        }
    };
    let is_ours = |path: &PathBuf| {
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        !hidden && path.extension().is_some_and(|extension| extension == "toml")
    };
    let mut paths: Vec<_> = entries.into_iter().map(|entry| entry.path()).filter(is_ours).collect();
    paths.sort();
    Some(paths)
}

fn cannot_read(path: &Path, error: &io::Error) -> String {
    let path = path.display();
    match error.kind() {
        ErrorKind::NotFound => format!("{path} does not exist"),
        ErrorKind::InvalidData => format!("{path} is no UTF-8 text"),
        _ => format!("cannot read {path}: {error}"),
    }
}

/// Whether nobody but root can change what is there.
fn is_roots_alone(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|about| about.uid() == 0 && about.mode() & 0o022 == 0)
}

/// Whoever can write the configuration decides who gets tokens.
fn warn_if_writable(path: &Path, findings: &Findings) {
    let Ok(about) = fs::metadata(path) else { return };
    let mode = about.permissions().mode();
    let path = path.display();
    // A sticky directory, such as /tmp, is meant for everybody, and no place for a configuration.
    let next = if mode & 0o1000 == 0 {
        format!("run: chmod o-w {path}")
    } else {
        "move the configuration to a directory of its own".to_owned()
    };
    if mode & 0o002 != 0 {
        findings.warning(None, format!("everybody on this host can change {path}; {next}"));
    }
}
