//! The guide to the configuration says the truth: every key is in it, and its examples are valid.

use super::keys;
use super::test_host::Host;
use crate::policy::Action;

const GUIDE: &str = include_str!("../../docs/guide/configuration.md");

#[test]
fn every_key_and_every_action_is_described_in_the_guide() {
    let keys = keys::ALL.iter().flat_map(|keys| keys.known.iter().chain(keys.later)).copied();
    let actions = Action::ALL.iter().map(|action| action.name()).chain(keys::ACTIONS_LATER.iter().copied());
    for word in keys.chain(actions) {
        let described = [format!("`{word}`"), format!("`[{word}]`"), format!("`[[{word}]]`"), format!("`[{word}.")];
        assert!(described.iter().any(|form| GUIDE.contains(form)), "docs/guide/configuration.md lacks `{word}`");
    }
}

#[test]
fn the_examples_of_the_guide_are_valid() {
    let examples: Vec<_> = GUIDE.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(examples.len() >= 3, "the guide has examples");
    for example in examples {
        let host = Host::new().file("secrets/corp", "x").file("corp-ca.pem", "x").main(example);
        assert_eq!(host.warnings(), "", "{example}");
    }
}
