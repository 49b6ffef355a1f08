//! `[user_map.PROVIDER]`: which users at a provider a Unix user is, for rules with `sessions = "user"`.

use tokenkeeper_protocol::UserName;

use super::allow::Known;
use super::nobody::Nobody;
use super::table::{At, Table};
use super::value::Complaint;
use super::who::{self, Kind};
use crate::policy::UserMap;

/// Adds what stands under one provider.
pub(super) fn read(provider: &At<&str>, table: Table<'_>, known: &Known, map: &mut UserMap) {
    let Some(provider) = known.provider(provider, &table) else { return };
    for user in table.names() {
        let warn = |why| table.warning(user.place.clone(), format!("this line maps nobody: {why}"));
        let id = table.accept("the key", &user.place, who::look_up(Kind::User, user.value, warn));
        // All names are looked at, so that all errors come at once.
        let names = names(&table, user.value);
        let (Some(Some(uid)), Some(names)) = (id, names) else { continue };
        if Nobody::of_host().is_user(uid) {
            table.warning(
                user.place.clone(),
                format!("this line maps nobody: {:?} stands for nobody in particular", user.value),
            );
            continue;
        }
        for name in names {
            map.add(provider.clone(), uid, name);
        }
    }
}

/// One name, or several.
fn names(table: &Table<'_>, user: &str) -> Option<Vec<UserName>> {
    let name = |text: &str| text.parse().map_err(|error| Complaint::new(format!("{text:?} is wrong: {error}")));
    if table.is_text(user) {
        return table.parsed(user, name).map(|name| vec![name]);
    }
    table.list(user, name)
}

#[cfg(test)]
mod tests {
    use crate::config::test_host::Host;

    const CORP: &str = "[provider.corp]\nissuer = 'https://id.corp.example'\nclient_id = 'shop'\n";

    fn with(map: &str) -> Host {
        Host::new().main(CORP).file("conf.d/users.toml", map).file(
            "conf.d/rule.toml",
            "[[allow]]\nwho = 'group:0'\nmay = ['login', 'token']\nprovider = 'corp'\nsessions = 'user'\n",
        )
    }

    #[test]
    fn a_unix_user_has_one_name_or_several_at_each_provider() {
        let settings = with("[user_map.corp]\nroot = 'alice@corp'\n1001 = ['bob', 'bobby']\n").settings();
        let (map, corp) = (settings.rules.users, "corp".parse().unwrap());
        let names = |uid| map.names_of(uid, Some(&corp)).map(|(_, name)| name.as_str()).collect::<Vec<_>>();
        assert_eq!((names(0), names(1001)), (vec!["alice@corp"], vec!["bob", "bobby"]));
        assert_eq!(map.names_of(0, Some(&"other".parse().unwrap())).count(), 0);
    }

    #[test]
    fn somebody_the_host_does_not_know_is_left_out_with_a_warning() {
        let host = with("[user_map.corp]\nno-such-user = 'alice'\nroot = 'bob'\n65534 = 'eve'\n");
        let warnings = host.warnings();
        let expected = "users.toml:2:1: this line maps nobody: this host knows no user \"no-such-user\"; once it does, reload\n\
                        users.toml:4:1: this line maps nobody: \"65534\" stands for nobody in particular";
        assert_eq!(warnings, expected);
        let map = host.settings().rules.users;
        assert_eq!(map.names_of(0, None).count(), 1);
        assert_eq!(map.names_of(65534, None).count(), 0);
    }

    #[test]
    fn what_cannot_be_meant_is_an_error() {
        let expected = "users.toml:1:11: no provider \"crop\" is configured; did you mean \"corp\"?";
        assert_eq!(with("[user_map.crop]\nroot = 'x'\n").errors(), expected);
        assert!(with("[user_map.corp]\nroot = ''\n").errors().starts_with("users.toml:2:8: root \"\" is wrong: "));
        assert!(with("[user_map.corp]\nroot = 7\n").errors().contains("root must be an array of strings"));
        assert!(with("[user_map]\nroot = 'x'\n").errors().contains("root must be a table"));
        let twice = with("[user_map.corp]\n").file("conf.d/z.toml", "[user_map.corp]\n");
        assert_eq!(
            twice.errors(),
            "z.toml:1:1: [user_map.corp] stands at users.toml:1:1 already; a table belongs in one file"
        );
    }
}
