//! The users and groups that stand for all who have no number here: what the kernel shows of other user namespaces.

use std::fs;

/// What the kernel shows unless it was told otherwise.
const USUAL: u32 = 65534;

/// Numbers that mean nobody in particular. Nobody is served as such a user, and no rule is about such a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nobody {
    uid: u32,
    gid: u32,
}

impl Nobody {
    /// Those of this host. Where `/proc/sys` is out of sight, as for the system's daemon, the usual ones: outside of containers
    /// the kernel has none to show to it, because it sees every user by its own number.
    pub fn of_host() -> Self {
        let told = |path| fs::read_to_string(path).ok()?.trim().parse().ok();
        let number = |path| told(path).unwrap_or(USUAL);
        Self { uid: number("/proc/sys/kernel/overflowuid"), gid: number("/proc/sys/kernel/overflowgid") }
    }

    /// Whether a user is nobody. The usual number is, whatever the kernel says: files and tools know it as `nobody`.
    pub fn is_user(self, uid: u32) -> bool {
        uid == USUAL || uid == self.uid
    }

    /// The same for a group.
    pub fn is_group(self, gid: u32) -> bool {
        gid == USUAL || gid == self.gid
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_whom_the_kernel_means_and_whom_everybody_means() {
        let nobody = Nobody { uid: 99, gid: 98 };
        assert!(nobody.is_user(99) && nobody.is_user(65534) && !nobody.is_user(98) && !nobody.is_user(0));
        assert!(nobody.is_group(98) && nobody.is_group(65534) && !nobody.is_group(99));
        let said = fs::read_to_string("/proc/sys/kernel/overflowuid").unwrap().trim().parse().unwrap();
        assert!(Nobody::of_host().is_user(said));
    }
}
