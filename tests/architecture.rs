//! The shape of the sources, enforced: floors, file sizes, names, and where `unsafe` may stand.
//!
//! Every path counts, wherever it is written: `use` trees, inline paths, `super::`, macros and attributes. Each rule is a
//! function from sources to complaints, so that the tests at the end can show that it finds what was planted.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot read the sources has failed")]

use std::fs;
use std::path::Path;

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::visit::{self, Visit};

/// The floors of `src/`, from the top down. A module uses only what is on a floor below its own.
const FLOORS: &[&[&str]] = &[
    &["daemon"],
    &["ipc"],
    &["command", "schedule"],
    &["keeper"],
    &["vault", "provider"],
    &["audit", "seal", "store"],
    &["config"],
    &["policy"],
    &["clock"],
    &["domain"],
    &["failpoint", "vital"],
];

/// Uses that break the rule of the floors nevertheless: (from, to, reason).
const EXCEPTIONS: &[(&str, &str, &str)] = &[];

/// What `main.rs` may use of the library.
const USED_BY_MAIN: &[&str] = &["daemon", "config"];

/// Names that say nothing of what is inside.
const EMPTY_NAMES: &[&str] = &["util", "utils", "common", "helper", "helpers", "misc"];

/// Past this, a file usually holds two ideas.
const MAX_LINES: usize = 400;

#[test]
fn modules_use_only_the_floors_below() {
    assert_clean(&sources(), floors);
}

#[test]
fn files_are_short() {
    assert_clean(&sources(), lengths);
}

#[test]
fn files_begin_with_what_they_are_for() {
    assert_clean(&sources(), headers);
}

#[test]
fn modules_are_named_for_what_they_hold() {
    assert_clean(&sources(), names);
}

#[test]
fn unsafe_code_stands_in_crates_sys_only() {
    assert_clean(&sources(), unsafe_code);
}

/// A file of the project: its path from the root, and its text.
struct Source {
    path: String,
    text: String,
}

fn assert_clean(sources: &[Source], rule: fn(&Source) -> Vec<String>) {
    let complaints: Vec<_> = sources.iter().flat_map(rule).collect();
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

/// Everything in `src/` and `crates/*/src/`.
fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    collect(root, &root.join("src"), &mut found);
    for entry in fs::read_dir(root.join("crates")).unwrap() {
        collect(root, &entry.unwrap().path().join("src"), &mut found);
    }
    assert!(found.iter().any(|source| source.path == "src/lib.rs"), "sources are found");
    found
}

fn collect(root: &Path, directory: &Path, found: &mut Vec<Source>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
            found.push(Source { path: name, text: fs::read_to_string(&path).unwrap() });
        }
    }
}

fn lengths(source: &Source) -> Vec<String> {
    let lines = source.text.lines().count();
    let complaint = || format!("{}: {lines} lines, and {MAX_LINES} are allowed", source.path);
    (lines > MAX_LINES).then(complaint).into_iter().collect()
}

fn headers(source: &Source) -> Vec<String> {
    let complaint = || format!("{}: does not begin with //!", source.path);
    (!source.text.starts_with("//! ")).then(complaint).into_iter().collect()
}

fn names(source: &Source) -> Vec<String> {
    let mut words = source.path.trim_end_matches(".rs").split('/');
    let empty = words.find(|word| EMPTY_NAMES.contains(word));
    empty.map(|word| format!("{}: {word:?} says nothing of what is inside", source.path)).into_iter().collect()
}

fn unsafe_code(source: &Source) -> Vec<String> {
    fn has_unsafe(tokens: TokenStream) -> bool {
        tokens.into_iter().any(|token| match token {
            TokenTree::Ident(word) => word == "unsafe",
            TokenTree::Group(group) => has_unsafe(group.stream()),
            _ => false,
        })
    }
    if source.path.starts_with("crates/sys/") || !has_unsafe(source.text.parse().unwrap()) {
        return Vec::new();
    }
    vec![format!("{}: holds \"unsafe\", which belongs in crates/sys", source.path)]
}

fn floors(source: &Source) -> Vec<String> {
    let Some(inside) = source.path.strip_prefix("src/") else { return Vec::new() };
    let mut module: Vec<_> = inside.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if matches!(module.last().map(String::as_str), Some("mod" | "lib")) {
        module.pop();
    }
    let mut complaints = Vec::new();
    if let Some(top) = module.first().filter(|top| floor(top).is_none() && *top != "main") {
        complaints
            .push(format!("{}: module {top:?} is on no floor; give it one in tests/architecture.rs", source.path));
    }
    let mut uses = Uses { module, found: Vec::new() };
    uses.visit_file(&syn::parse_file(&source.text).unwrap_or_else(|error| panic!("{}: {error}", source.path)));
    complaints.extend(uses.found.into_iter().map(|complaint| format!("{}: {complaint}", source.path)));
    complaints
}

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&module))
}

/// Walks one file and judges every path in it.
struct Uses {
    /// Where the walk is: `["config", "secret", "tests"]`.
    module: Vec<String>,
    found: Vec<String>,
}

impl Uses {
    /// Judges a path as it is written; one that begins with a local name or another crate leads nowhere up.
    fn judge(&mut self, path: &[String]) {
        let first = path.first().map(String::as_str);
        let from = self.module.first().cloned().unwrap_or_default();
        if from == "main" {
            let used = path.get(1).map_or("*", String::as_str);
            if first == Some("tokenkeeperd") && !USED_BY_MAIN.contains(&used) {
                self.found.push(format!("main.rs uses {}, and {USED_BY_MAIN:?} are allowed", path.join("::")));
            }
            return;
        }
        let mut target = match first {
            Some("crate") => Vec::new(),
            Some("self" | "super") => self.module.clone(),
            _ => return,
        };
        for word in path {
            match word.as_str() {
                "crate" | "self" => {}
                "super" => drop(target.pop()),
                word => target.push(word.to_owned()),
            }
        }
        let to = target.first().map_or("*", String::as_str);
        // The root of the crate is the list of the floors: it stands above all of them.
        if from.is_empty() || from == to || EXCEPTIONS.iter().any(|(a, b, _)| (*a, *b) == (from.as_str(), to)) {
            return;
        }
        match (floor(&from), floor(to)) {
            (Some(upper), Some(lower)) if upper < lower => {}
            (_, Some(_)) => self.found.push(format!("{from} uses {}, which is not below it", path.join("::"))),
            (_, None) => self.found.push(format!("{from} uses {}, which is on no floor", path.join("::"))),
        }
    }

    fn use_tree(&mut self, before: &[String], tree: &syn::UseTree) {
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.use_tree(&with(&path.ident), &path.tree),
            syn::UseTree::Name(name) => self.judge(&with(&name.ident)),
            syn::UseTree::Rename(rename) => self.judge(&with(&rename.ident)),
            syn::UseTree::Glob(_) => self.judge(before),
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.use_tree(before, tree)),
        }
    }

    /// Judges what looks like a path among the tokens of a macro or an attribute, and in the strings of the latter.
    fn tokens(&mut self, tokens: TokenStream, strings_too: bool) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(word) => {
                    if colons != 2 {
                        self.judge(&std::mem::take(&mut path));
                    }
                    path.push(word.to_string());
                    colons = 0;
                    continue;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' && colons < 2 => {
                    colons += 1;
                    continue;
                }
                TokenTree::Group(group) => {
                    let local = matches!(path.first().map(String::as_str), Some("crate" | "super" | "self"));
                    if colons == 2 && local && group.delimiter() == Delimiter::Brace {
                        let path = path.join("::");
                        self.found.push(format!(
                            "{path}::{{...}} within a macro cannot be judged; write its paths one by one"
                        ));
                    }
                    self.tokens(group.stream(), strings_too);
                }
                TokenTree::Literal(literal) if strings_too => {
                    if let Ok(path) = syn::parse_str::<syn::LitStr>(&literal.to_string()).and_then(|text| text.parse())
                    {
                        self.visit_path(&path);
                    }
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
            self.judge(&std::mem::take(&mut path));
            colons = 0;
        }
        self.judge(&path);
    }
}

impl<'ast> Visit<'ast> for Uses {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        self.module.push(module.ident.to_string());
        visit::visit_item_mod(self, module);
        self.module.pop();
    }

    /// Who may see an item is no use of theirs.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.use_tree(&[], &item.tree);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.judge(&path.segments.iter().map(|segment| segment.ident.to_string()).collect::<Vec<_>>());
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.visit_path(&call.path);
        self.tokens(call.tokens.clone(), false);
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        if attribute.path().is_ident("path") {
            self.found.push("#[path] hides where a module stands".to_owned());
        }
        if let syn::Meta::List(list) = &attribute.meta {
            self.tokens(list.tokens.clone(), true);
        }
    }
}

/// What `rule` says about a file at `path` that holds `text`.
fn about(rule: fn(&Source) -> Vec<String>, path: &str, text: &str) -> String {
    rule(&Source { path: path.to_owned(), text: text.to_owned() }).join("\n")
}

#[test]
fn a_planted_use_of_a_higher_floor_is_found_however_it_is_written() {
    for planted in [
        "use crate::vault::Vault;",
        "use crate::{domain::Peer, vault as v};",
        "use super::super::vault::Vault;",
        "fn f() { crate::vault::open(); }",
        "fn f(_: super::super::vault::Vault) {}",
        "fn f() -> Vec<Option<crate::vault::Vault>> { vec![] }",
        "fn f() { let x = matches!(y, crate::vault::State::Open); }",
        "macro_rules! m { () => { $crate::vault::open() }; }",
        "mod tests { use super::super::super::vault; }",
        "#[cfg(test)] mod tests { fn f() { use crate::vault; } }",
        "#[derive(Deserialize)] struct S { #[serde(with = \"crate::vault::codec\")] x: u8 }",
        "impl crate::vault::Hook for S {}",
    ] {
        let complaint = about(floors, "src/config/secret.rs", planted);
        assert!(complaint.starts_with("src/config/secret.rs: config uses "), "{planted}: {complaint:?}");
        assert!(complaint.contains("vault"), "{planted}: {complaint:?}");
    }
}

#[test]
fn neighbours_and_the_whole_crate_are_out_of_bounds_too() {
    assert_eq!(
        about(floors, "src/seal/mod.rs", "use crate::store::Store;"),
        "src/seal/mod.rs: seal uses crate::store::Store, which is not below it"
    );
    assert!(about(floors, "src/clock.rs", "use super::*;").contains("which is on no floor"));
    assert!(about(floors, "src/clock.rs", "use crate as all;").contains("which is on no floor"));
    assert!(about(floors, "src/extra/mod.rs", "").contains("is on no floor"));
    assert!(about(floors, "src/clock.rs", "m! { use crate::{vault}; }").contains("one by one"));
    assert!(about(floors, "src/clock.rs", "#[path = \"vault/mod.rs\"] mod x;").contains("hides"));
}

#[test]
fn what_is_below_within_or_elsewhere_is_left_alone() {
    let fine = "use crate::domain::Peer; use super::table::Table; use self::inner::X; use std::{fmt, vault::Other};\n\
                fn f() { crate::policy::judge(); super::value::plain(); vault::local(); format!(\"crate::vault\"); }\n\
                mod tests { use super::*; use crate::config::Mode; }";
    assert_eq!(about(floors, "src/config/secret.rs", fine), "");
    assert_eq!(about(floors, "src/lib.rs", "pub mod vault; pub use crate::vault::Vault;"), "");
}

#[test]
fn main_uses_the_daemon_and_its_configuration_only() {
    assert_eq!(about(floors, "src/main.rs", "use tokenkeeperd::{config, daemon::run};"), "");
    assert!(
        about(floors, "src/main.rs", "fn main() { tokenkeeperd::vault::open(); }")
            .contains("tokenkeeperd::vault::open")
    );
    assert!(about(floors, "src/main.rs", "use tokenkeeperd::*;").contains("main.rs uses"));
}

#[test]
fn the_other_rules_find_what_is_planted() {
    assert!(!about(lengths, "src/a.rs", &"\n".repeat(MAX_LINES + 1)).is_empty());
    assert!(about(lengths, "src/a.rs", &"\n".repeat(MAX_LINES)).is_empty());
    assert!(!about(headers, "src/a.rs", "use std::fmt;\n").is_empty());
    assert!(!about(names, "src/ipc/utils.rs", "").is_empty());
    assert!(!about(names, "src/common/mod.rs", "").is_empty());
    assert!(about(names, "src/command/mod.rs", "").is_empty());
    assert!(!about(unsafe_code, "src/a.rs", "fn f() { m!({ unsafe { g() } }) }").is_empty());
    assert!(about(unsafe_code, "crates/sys/src/lib.rs", "fn f() { unsafe { g() } }").is_empty());
    assert!(about(unsafe_code, "src/a.rs", "// unsafe\nfn f() { \"unsafe\"; }").is_empty());
}
