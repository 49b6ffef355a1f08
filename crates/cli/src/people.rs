//! Local users, as a rule would see them.

use std::ffi::CString;

use nix::unistd::{Uid, User, getgrouplist};

use crate::failure::Failure;

/// A user and all groups it gets when it logs in.
#[derive(Debug)]
pub(crate) struct Person {
    pub(crate) uid: u32,
    pub(crate) gids: Vec<u32>,
}

/// Finds a user by name or number. A number needs no name: such a user has no groups.
pub(crate) fn find(text: &str) -> Result<Person, Failure> {
    let unknown = || Failure::UnknownUser { name: text.to_owned() };
    let number = text.parse::<u32>().ok();
    let user = match number {
        Some(uid) => User::from_uid(Uid::from_raw(uid)),
        None => User::from_name(text),
    };
    match (user.map_err(|_| unknown())?, number) {
        (Some(user), _) => {
            let name = CString::new(user.name.as_bytes()).map_err(|_| unknown())?;
            let groups = getgrouplist(&name, user.gid).map_err(|_| unknown())?;
            Ok(Person { uid: user.uid.as_raw(), gids: groups.into_iter().map(nix::unistd::Gid::as_raw).collect() })
        }
        (None, Some(uid)) => Ok(Person { uid, gids: Vec::new() }),
        (None, None) => Err(unknown()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_with_its_groups_by_name_and_by_number() {
        let root = find("root").unwrap();
        assert!(root.uid == 0 && root.gids.contains(&0), "{root:?}");
        assert_eq!(find("0").unwrap().gids, root.gids);
        let nameless = find("4000000").unwrap();
        assert_eq!((nameless.uid, nameless.gids.len()), (4_000_000, 0));
        assert!(find("no-such-user").unwrap_err().to_string().contains("no-such-user"));
    }
}
