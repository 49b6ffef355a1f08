//! The rows that only root can bring about: the Makefile leaves them out for everyone else, and says so.

use nix::unistd::Uid;

use super::row::When;

#[test]
fn what_goes_wrong_between_users_and_file_systems_is_told() {
    assert!(Uid::effective().is_root(), "only root can mount and act as other users: run `sudo make test-offline`");
    super::run(When::AsRoot);
}
