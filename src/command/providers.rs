//! Which providers there are, and whether one works.

use tokenkeeper_protocol::reply::{ProviderReport, ProviderStatus, ProviderView, ProvidersReply, StepOutcome};
use tokenkeeper_protocol::{AccountName, Problem, ProviderName};

use super::Service;
use crate::config::settings::{ClientAuthentication, ProviderKind, RedirectUri};
use crate::domain::Peer;
use crate::policy::{Action, Rules, Target, judge};
use crate::provider::{Health, Provider};

impl Service {
    /// Those that the peer may know of: all, if it may see the status; else those at which some rule of its own is. Whoever has
    /// no rule at all gets an empty list, which says nothing of what exists.
    pub(super) fn providers(&self, peer: &Peer) -> ProvidersReply {
        let rules = &self.in_force.load().rules;
        let sees_all = judge(rules, peer, Action::Status, Target::Daemon).is_ok();
        let providers = self.keeper.providers();
        let known = providers.iter().filter(|(name, _)| sees_all || may_anything(rules, peer, name));
        ProvidersReply {
            providers: known
                .map(|(name, provider)| {
                    view(provider, provider.condition(self.keeper.clock()), self.keeper.accounts_at(name))
                })
                .collect(),
        }
    }

    /// Tries whatever can be tried without a user. For those who look after the host, and for those who could begin a login there
    /// anyway; nobody learns more of the provider than its own answers tell.
    pub(super) async fn test_provider(&self, peer: &Peer, name: &ProviderName) -> Result<ProviderReport, Problem> {
        let provider = self.keeper.providers().get(name).cloned();
        let Some(provider) = provider.filter(|_| self.may_test(peer, name)) else {
            return Err(self.no_such_provider(peer, Action::Login, name).await);
        };
        let steps = provider.probe(self.keeper.clock()).await;
        let works = steps.iter().all(|step| step.outcome != StepOutcome::Failed);
        Ok(ProviderReport { provider: name.clone(), works, steps })
    }

    fn may_test(&self, peer: &Peer, name: &ProviderName) -> bool {
        let rules = &self.in_force.load().rules;
        [Action::Manage, Action::Login].iter().any(|action| judge(rules, peer, *action, Target::Provider(name)).is_ok())
    }
}

fn may_anything(rules: &Rules, peer: &Peer, name: &ProviderName) -> bool {
    Action::ALL.iter().any(|action| judge(rules, peer, *action, Target::Provider(name)).is_ok())
}

fn view(provider: &Provider, health: Health, accounts: Vec<AccountName>) -> ProviderView {
    let settings = provider.settings();
    let kind = match &settings.kind {
        ProviderKind::Oidc { .. } => "oidc",
        ProviderKind::Oauth2(_) => "oauth2",
        ProviderKind::Custom(_) => "custom",
    };
    let redirect_uri = |uri: &RedirectUri| match uri {
        RedirectUri::Exact(uri) => uri.clone(),
        RedirectUri::Loopback => "loopback".to_owned(),
    };
    ProviderView {
        status: ProviderStatus {
            provider: settings.name.clone(),
            last_success_at: health.last_success_at,
            failure: health.failure,
        },
        kind: kind.to_owned(),
        issuer: settings.kind.issuer().to_owned(),
        client_id: settings.client_id.clone(),
        client_authentication: match settings.client_authentication {
            ClientAuthentication::Basic => "basic",
            ClientAuthentication::Post => "post",
            ClientAuthentication::None => "none",
        }
        .to_owned(),
        redirect_uris: settings.redirect_uris.iter().map(redirect_uri).collect(),
        scopes: settings.scopes.clone(),
        max_age_seconds: settings.max_age.as_secs(),
        accounts,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokenkeeper_protocol::{Code, Reply, Request};

    use super::super::tests::{ask, service};
    use super::super::{InForce, Service};
    use crate::domain::Peer;
    use crate::keeper::tests::{Home, at, peer};
    use crate::policy::{Action, On, Reach, Rule, Rules, Who};

    async fn list(service: &Service, peer: &Arc<Peer>) -> usize {
        match ask(service, peer, Request::Providers).await {
            Reply::Providers(reply) => reply.providers.len(),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_provider_is_known_to_those_whose_rules_name_it_and_tested_by_those_who_could_log_in() {
        let home = Home::new().await;
        let (service, alice, stranger) = (service(&home), Arc::new(peer(1000)), Arc::new(peer(7)));
        let corp = home.session().provider;
        for (may, provider, sees, may_test) in [
            (Action::Token, &corp, true, false),
            (Action::Login, &corp, true, true),
            (Action::Manage, &corp, true, true),
            (Action::Login, &"other".parse().unwrap(), false, false),
            (Action::Status, &"other".parse().unwrap(), true, false),
        ] {
            let on = On::Sessions { provider: Some(provider.clone()), reach: Reach::Own };
            let rule = Rule { who: Who::User(1000), may: vec![may], on, source: String::new() };
            service.in_force.store(Arc::new(InForce {
                rules: Rules::from(vec![rule]),
                backup_recipients: Vec::new(),
                loaded_at: at(0),
            }));
            assert_eq!(list(&service, &alice).await, usize::from(sees), "{may}");
            assert_eq!(list(&service, &stranger).await, 0);
            let answer = ask(&service, &alice, Request::ProviderTest(corp.clone())).await;
            let tested = matches!(answer, Reply::ProviderReport(_));
            assert_eq!(tested, may_test, "{may}: {answer:?}");
            let Reply::Problem(problem) = ask(&service, &stranger, Request::ProviderTest(corp.clone())).await else {
                panic!("a stranger tests")
            };
            assert_eq!(problem.code, Code::Denied);
        }
    }
}
