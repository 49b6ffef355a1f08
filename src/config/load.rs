//! From files to settings: the whole way at a glance.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokenkeeper_protocol::{AccountName, ProviderName};

use super::account;
use super::allow::{self, Known};
use super::files::{self, MAIN_FILE};
use super::finding::{ConfigErrors, Finding, Findings};
use super::places::{Environment, Places, Source};
use super::provider::{self, Surroundings};
use super::secret::SecretPlaces;
use super::sections;
use super::settings::{AccountSettings, ProviderSettings, Settings};
use super::table::Table;
use super::tables::Tables;
use super::user_map;
use crate::policy::{Action, On, Reach, Rule, Rules, UserMap};

/// Every provider by its name.
type Providers = BTreeMap<ProviderName, Arc<ProviderSettings>>;
/// Every service account by its name.
type Accounts = BTreeMap<AccountName, Arc<AccountSettings>>;

/// A configuration that can be used.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What it says.
    pub settings: Settings,
    /// What is allowed and probably not meant, for the log.
    pub warnings: Vec<Finding>,
    /// The files it was read from.
    pub files: Vec<PathBuf>,
}

/// Reads and checks the configuration of `source`. All its errors come back, not only the first.
pub fn load(source: &Source, environment: &Environment) -> Result<Loaded, ConfigErrors> {
    let findings = Findings::default();
    let read = read(source, environment, &findings);
    let ((settings, files), warnings) = findings.finish(read)?;
    Ok(Loaded { settings, warnings, files })
}

fn read(source: &Source, environment: &Environment, findings: &Findings) -> Option<(Settings, Vec<PathBuf>)> {
    let places = Places::new(source.mode, environment);
    let main = main_file(source, &places, findings)?;
    let files = files::read(&main, source.file.is_some(), findings);
    let parsed: Vec<_> = files.documents.iter().map(|document| (document, document.parse(findings))).collect();

    let complete = findings.no_error();
    let mut tables = Tables::default();
    for (document, root) in &parsed {
        if let Some(root) = root {
            tables.add(Table::root(document, findings, root));
        }
    }

    let directory = main.parent().unwrap_or(Path::new("/")).to_owned();
    let secrets = directory.join("secrets");
    let secrets = SecretPlaces {
        mode: source.mode,
        directory: secrets,
        credentials: environment.credentials(),
        only_checked: source.only_checked,
    };
    let providers = providers(&tables, &Surroundings { directory, secrets });
    let known = known(&tables, complete);
    let accounts = accounts(&tables, &known, &providers);
    let mut rules = rules(&tables, &known);
    rules.list.push(allow::built_in(source.mode, environment.uid));
    if findings.no_error() {
        warn_if_unreachable(&tables, &rules.list, &accounts);
    }
    let daemon = sections::daemon(tables.section("daemon"), &places, source.mode, findings);
    let schedule = sections::schedule(tables.section("schedule"));
    let audit = sections::audit(tables.section("audit"));
    Some((Settings { daemon: daemon?, providers, accounts, rules, schedule, audit }, files.paths))
}

fn main_file(source: &Source, places: &Places, findings: &Findings) -> Option<PathBuf> {
    let Some(file) = source.file.clone().or_else(|| Some(places.config.as_ref()?.join(MAIN_FILE))) else {
        let next = "set $HOME, or name a file with --config";
        findings
            .error(None, format!("no place for the configuration: neither $XDG_CONFIG_HOME nor $HOME is set; {next}"));
        return None;
    };
    let absolute = std::path::absolute(&file);
    absolute.map_err(|error| findings.error(None, format!("{} is no path: {error}", file.display()))).ok()
}

fn providers(tables: &Tables<'_>, around: &Surroundings) -> Providers {
    let settings = tables.providers.iter().filter_map(|(name, table)| provider::read(name, *table, around));
    settings.map(|settings| (settings.name.clone(), Arc::new(settings))).collect()
}

/// What accounts and rules can name.
fn known(tables: &Tables<'_>, complete: bool) -> Known {
    let providers = tables.providers.iter().map(|(name, _)| name.value.to_owned()).collect();
    let accounts = tables.accounts.iter().map(|(name, _)| name.value.to_owned()).collect();
    Known { providers, accounts, complete }
}

fn accounts(tables: &Tables<'_>, known: &Known, providers: &Providers) -> Accounts {
    let settings = tables.accounts.iter().filter_map(|(name, table)| account::read(name, *table, known, providers));
    settings.map(|settings| (settings.name.clone(), Arc::new(settings))).collect()
}

fn rules(tables: &Tables<'_>, known: &Known) -> Rules {
    let (mut users, mut list) = (UserMap::default(), Vec::new());
    for (provider, table) in &tables.user_maps {
        user_map::read(provider, *table, known, &mut users);
    }
    for table in &tables.allow {
        if let Some(rule) = allow::read(*table, known, &users) {
            allow::warn_if_repeated(*table, &rule, &list);
            list.push(rule);
        }
    }
    Rules { list, users }
}

/// A provider that nobody may log in to, and an account that nobody may use, were configured for somebody whose rule is missing.
fn warn_if_unreachable(tables: &Tables<'_>, rules: &[Rule], accounts: &Accounts) {
    for (name, table) in &tables.accounts {
        let Some(account) = accounts.values().find(|account| account.name.as_str() == name.value) else { continue };
        let reaches = |rule: &Rule| match &rule.on {
            On::Sessions { provider, reach: Reach::All } => {
                provider.as_ref().is_none_or(|only| *only == account.provider)
            }
            On::Sessions { .. } => false,
            On::Account(only) => only.as_ref().is_none_or(|only| *only == account.name),
        };
        if !rules.iter().any(|rule| reaches(rule) && rule.may.contains(&Action::Token)) {
            let next = format!("add an [[allow]] with may = [\"token\"] and account = {:?}", name.value);
            table.warning(name.place.clone(), format!("nobody may use the service account {}: {next}", name.value));
        }
    }
    for (name, table) in &tables.providers {
        if accounts.values().any(|account| account.provider.as_str() == name.value) {
            // It was configured for that.
            continue;
        }
        let is_here = |rule: &Rule| match &rule.on {
            On::Sessions { provider, .. } => provider.as_ref().is_none_or(|only| only.as_str() == name.value),
            On::Account(_) => false,
        };
        if !rules.iter().any(|rule| is_here(rule) && rule.may.contains(&Action::Login)) {
            let next = "add an [[allow]] with may = [\"login\", \"token\"]";
            table.warning(name.place.clone(), format!("nobody may log in to {}: {next}", name.value));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use crate::config::test_host::Host;
    use crate::config::{Mode, Source, load};
    use crate::policy::{Action, On, Who};

    const CORP: &str = "[provider.corp]\nissuer = 'https://id.corp.example'\nclient_id = 'shop'\n";

    #[test]
    fn the_classic_misspelling_is_told_exactly() {
        let host =
            Host::new().file("conf.d/corp.toml", "[provider.corp]\nissuer = 'https://x.example'\nclientid = 'shop'\n");
        assert!(host.errors().contains("corp.toml:3:1: unknown key \"clientid\"; did you mean \"client_id\"?"));
    }

    #[test]
    fn all_errors_of_all_files_come_at_once_and_in_order() {
        let host = Host::new()
            .main("[schedule]\nretention = 'soon'\n[daemon]\ncache_sessions = 0\n")
            .file("conf.d/a.toml", "[provider.corp]\nissuer = 'x'\n")
            .file("conf.d/b.toml", "x = [\n")
            .file("conf.d/c.toml", "[servce_account]\n");
        let errors = host.errors();
        let places: Vec<_> = errors.lines().map(|line| line.split_once(": ").unwrap().0).collect();
        let expected =
            ["tokenkeeper.toml:2:13", "tokenkeeper.toml:4:18", "a.toml:1:1", "a.toml:2:10", "b.toml:1:6", "c.toml:1:2"];
        assert_eq!(places, expected, "{errors}");
    }

    #[test]
    fn fragments_are_read_in_the_order_of_their_names_and_others_are_left_alone() {
        let host = Host::new()
            .main("")
            .file("conf.d/b.toml", CORP)
            .file("conf.d/a.toml", "")
            .file("conf.d/.c.toml.swp", "broken [")
            .file("conf.d/.c.toml", "broken [")
            .file("conf.d/d.toml.bak", "broken [");
        let directory = host.directory();
        let expected = ["tokenkeeper.toml", "conf.d/a.toml", "conf.d/b.toml"].map(|name| directory.join(name));
        assert_eq!(host.load().files, expected);
    }

    #[test]
    fn a_table_in_two_files_is_an_error_that_names_both() {
        let host = Host::new()
            .main("[audit]\n")
            .file("conf.d/a.toml", CORP)
            .file("conf.d/b.toml", &format!("\n{CORP}[audit]\n"))
            .file("conf.d/tokenkeeper.toml", "[audit]\n");
        let expected = "b.toml:2:1: [provider.corp] stands at a.toml:1:1 already; a table belongs in one file\n\
                        b.toml:5:1: [audit] stands at tokenkeeper.toml:1:1 already; a table belongs in one file\n\
                        conf.d/tokenkeeper.toml:1:1: [audit] stands at tokenkeeper.toml:1:1 already; a table belongs in one file";
        assert_eq!(host.errors(), expected);
    }

    #[test]
    fn a_file_named_on_the_command_line_must_exist() {
        let host = Host::new();
        let missing = host.directory().join("other.toml");
        assert_eq!(host.errors_with(Some(&missing)), format!("{} does not exist", missing.display()));

        let host = host.file("elsewhere/main.toml", "[audit]\ntarget = '/x'\n").file("elsewhere/conf.d/a.toml", CORP);
        let source = Source {
            mode: Mode::System,
            file: Some(host.directory().join("elsewhere/main.toml")),
            only_checked: false,
        };
        let loaded = load(&source, &host.environment).unwrap();
        assert_eq!(loaded.files.len(), 2, "conf.d beside the named file counts");
    }

    #[test]
    fn files_that_are_no_text_are_reported_by_their_path() {
        let host = Host::new().main("");
        fs::write(host.directory().join("tokenkeeper.toml"), b"\xff").unwrap();
        assert!(host.errors().ends_with("tokenkeeper.toml is no UTF-8 text"), "{}", host.errors());
    }

    #[test]
    fn root_looks_after_the_host_and_gets_no_token() {
        let rules = Host::new().settings().rules.list;
        assert_eq!(rules.len(), 1);
        assert_eq!((&rules[0].who, &rules[0].on), (&Who::User(0), &On::EVERYTHING));
        assert_eq!(
            rules[0].may,
            [Action::Status, Action::List, Action::Manage, Action::Keys, Action::Backup, Action::Erase]
        );
    }

    #[test]
    fn a_users_own_daemon_lets_that_user_do_everything() {
        let mut host = Host::new().mode(Mode::User).main(CORP);
        host.environment.home = Some("/home/alice".into());
        host.environment.xdg_runtime_dir = Some("/run/user/1000".into());
        let settings = host.settings();
        assert_eq!(settings.daemon.socket.as_os_str(), "/run/user/1000/tokenkeeper/tokenkeeper.sock");
        assert_eq!((&settings.rules.list[0].who, &settings.rules.list[0].on), (&Who::User(1000), &On::EVERYTHING));
        assert_eq!(settings.rules.list[0].may, Action::ALL);
        assert_eq!(host.warnings(), "");
    }

    #[test]
    fn a_user_without_any_directory_is_told_so() {
        let mut host = Host::new().mode(Mode::User);
        host.environment.xdg_config_home = None;
        assert!(host.errors().starts_with("no place for the configuration: "), "{}", host.errors());
    }

    #[test]
    fn a_provider_that_nobody_may_use_is_worth_a_warning() {
        let warnings = Host::new().main(CORP).warnings();
        let expected = "nobody may log in to corp: add an [[allow]] with may = [\"login\", \"token\"]";
        assert_eq!(warnings, format!("tokenkeeper.toml:1:11: {expected}"));
        let rule = "[[allow]]\nwho = 'user:7'\nmay = ['login']\nprovider = '*'\n";
        assert_eq!(Host::new().main(&format!("{CORP}{rule}")).warnings(), "");
    }

    #[test]
    fn a_configuration_that_everybody_can_change_is_worth_a_warning() {
        let host = Host::new().file("conf.d/a.toml", "");
        fs::set_permissions(host.directory().join("conf.d"), fs::Permissions::from_mode(0o777)).unwrap();
        let conf_d = host.directory().join("conf.d");
        let expected = format!("everybody on this host can change {0}; run: chmod o-w {0}", conf_d.display());
        assert_eq!(host.warnings(), expected);
        fs::set_permissions(&conf_d, fs::Permissions::from_mode(0o1777)).unwrap();
        assert!(host.warnings().ends_with("to a directory of its own"), "{}", host.warnings());
    }
}
