//! Whom a rule or a map is about: local users and groups, looked up when the configuration is read, and system services.
//!
//! Somebody whom the host does not know is worth a warning and no more: the user may be made, or the directory service come
//! up, after the daemon; until the next reload nobody is meant.

use nix::unistd::{Group, User};

use super::nobody::Nobody;
use super::table::Table;
use super::value::Complaint;
use crate::policy::Who;

/// What names can be looked up as.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    User,
    Group,
}

/// `who` of a rule. What is worth a warning is reported at `table`.
pub(super) fn read(text: &str, table: &Table<'_>) -> Result<Who, Complaint> {
    let warn = |message: String| table.warning(table.place_of("who").unwrap_or_else(|| table.place()), message);
    let allowed = "\"user:NAME\", \"group:NAME\" (or their numbers) or \"unit:NAME.service\"";
    let unknown = || Complaint::new(format!("{text:?} is not understood; write {allowed}"));
    let (kind, name) = text.split_once(':').ok_or_else(unknown)?;
    let kind = match kind {
        "user" => Kind::User,
        "group" => Kind::Group,
        "unit" => return unit(name).inspect(|unit| warn_of_unit(unit, warn)).map(Who::Unit),
        _ => return Err(unknown()),
    };
    let Some(id) = look_up(kind, name, |why| warn(format!("this rule matches nobody: {why}")))? else {
        return Ok(Who::Unknown(text.to_owned()));
    };
    let (who, is_nobody) = match kind {
        Kind::User => (Who::User(id), Nobody::of_host().is_user(id)),
        Kind::Group => (Who::Group(id), Nobody::of_host().is_group(id)),
    };
    if is_nobody {
        warn(format!("this rule never matches: {text} stands for nobody in particular"));
    }
    Ok(who)
}

/// The number that a name, or a number in digits, stands for; `None` with a warning if this host does not know the name.
pub(super) fn look_up(kind: Kind, name: &str, warn: impl Fn(String)) -> Result<Option<u32>, Complaint> {
    let word = match kind {
        Kind::User => "user",
        Kind::Group => "group",
    };
    if name.is_empty() || name.contains('\0') {
        return Err(Complaint::new(format!("names no {word}: {name:?}")));
    }
    if name.bytes().all(|byte| byte.is_ascii_digit()) {
        // The highest number means "no change" to the kernel.
        let id = name.parse().ok().filter(|id| *id != u32::MAX);
        return id.map(Some).ok_or_else(|| Complaint::new(format!("{name} is no number of a {word}")));
    }
    let found = match kind {
        Kind::User => User::from_name(name).map(|user| user.map(|user| user.uid.as_raw())),
        Kind::Group => Group::from_name(name).map(|group| group.map(|group| group.gid.as_raw())),
    };
    match found {
        Ok(Some(id)) => return Ok(Some(id)),
        Ok(None) => warn(format!("this host knows no {word} {name:?}; once it does, reload")),
        Err(error) => warn(format!("the {word} {name:?} cannot be looked up now ({error}); reload once that works")),
    }
    Ok(None)
}

fn unit(name: &str) -> Result<String, Complaint> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b":-_.\\@".contains(&byte);
    let stem = name.strip_suffix(".service").filter(|stem| !stem.is_empty());
    if stem.is_some() && name.len() <= 255 && name.bytes().all(is_allowed) {
        return Ok(name.to_owned());
    }
    Err(Complaint::new(format!("{name:?} is no service unit; write its whole name, such as \"unit:shop.service\"")))
}

fn warn_of_unit(unit: &str, warn: impl Fn(String)) {
    if unit.ends_with("@.service") {
        warn(format!("this rule never matches: {unit} is a template; name its instances, such as x@1.service"));
    }
    if unit == "cron.service" || unit == "crond.service" {
        warn(format!("all cron jobs of this host run in {unit}; give the job a timer unit of its own"));
    }
}
