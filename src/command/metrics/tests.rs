//! The metrics, held to their page in the documentation.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokenkeeper_protocol::frame::MAX_PAYLOAD;
use tokenkeeper_protocol::reply::ProviderStatus;
use tokenkeeper_protocol::{Reply, Request, UnixSeconds};

use super::*;
use crate::command::tests::{service, token_request};
use crate::keeper::tests::{Home, peer};

const PAGE: &str = include_str!("../../../docs/metrics.md");

/// What is told of a family: type, labels, meaning.
type Told = BTreeMap<String, (String, String, String)>;

/// The families of a text, under the names that people query.
fn families(text: &str) -> Told {
    let mut all = Told::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').unwrap();
        let name = if kind == "counter" { format!("{name}_total") } else { name.to_owned() };
        all.insert(name, (kind.to_owned(), String::new(), String::new()));
    }
    for line in text.lines().filter_map(|line| line.strip_prefix("# HELP ")) {
        let (name, help) = line.split_once(' ').unwrap();
        let known = if all.contains_key(name) { name.to_owned() } else { format!("{name}_total") };
        all.get_mut(&known).unwrap().2 = help.to_owned();
    }
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, labels) = line
            .split_once('{')
            .map_or((line.split(' ').next().unwrap(), ""), |(name, rest)| (name, rest.split_once('}').unwrap().0));
        let labels: Vec<_> =
            labels.split(',').filter_map(|label| Some(format!("`{}`", label.split_once('=')?.0))).collect();
        let of_histogram = ["_bucket", "_sum", "_count"].iter().find_map(|part| name.strip_suffix(part));
        let name = of_histogram.filter(|family| all.contains_key(*family)).unwrap_or(name);
        all.get_mut(name).unwrap_or_else(|| panic!("no family: {line}")).1 = labels.join(", ");
    }
    all
}

fn documented() -> Told {
    let rows = PAGE.lines().filter_map(|line| line.strip_prefix("| `tokenkeeper_"));
    let cells = rows.map(|row| row.trim_end_matches(" |").split(" | ").map(str::trim).collect::<Vec<_>>());
    cells
        .map(|cells| {
            let [name, kind, labels, meaning] = cells[..] else { panic!("{cells:?}") };
            let told = (kind.to_owned(), labels.to_owned(), meaning.to_owned());
            (format!("tokenkeeper_{}", name.trim_end_matches('`')), told)
        })
        .collect()
}

/// The value of a sample.
fn sample(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

async fn metrics(service: &Service) -> String {
    match service.respond(&Arc::new(peer(1000)), Request::Metrics).await {
        crate::command::Answer::Reply(reply) => match *reply {
            Reply::Metrics(text) => text,
            other => panic!("{other:?}"),
        },
        crate::command::Answer::Encoded(_) => panic!("not encoded"),
    }
}

#[tokio::test]
async fn the_page_about_metrics_tells_exactly_what_there_is() {
    let home = Home::new().await;
    let service = service(&home);
    home.sleep_until(300);
    service.answer(&Arc::new(peer(1000)), token_request(home.id)).await;
    let text = metrics(&service).await;
    assert_eq!(families(&text), documented());
    for kind in Kind::ALL {
        assert!(PAGE.contains(&format!("`{}`", kind.name())), "{kind:?} is not on the page");
    }
    assert!(text.ends_with("\n# EOF\n") && !text.contains("\n\n"), "{text}");
}

#[tokio::test]
async fn counters_move_with_what_happens() {
    let home = Home::new().await;
    let service = service(&home);
    let (alice, stranger) = (Arc::new(peer(1000)), Arc::new(peer(7)));
    let ok = "tokenkeeper_requests_total{request=\"token\",code=\"ok\"}";
    assert_eq!(sample(&metrics(&service).await, ok), Some(0));

    home.sleep_until(300);
    service.answer(&alice, token_request(home.id)).await;
    for _ in 0..4 {
        assert!(service.answer_at_once(&alice, &token_request(home.id)).is_some());
    }
    for _ in 0..3 {
        assert!(service.answer_at_once(&stranger, &token_request(home.id)).is_none());
        service.answer(&stranger, token_request(home.id)).await;
    }
    let text = metrics(&service).await;
    let provider = home.session().provider;
    for (name, value) in [
        (ok.to_owned(), 5),
        ("tokenkeeper_tokens_handed_out_total".to_owned(), 5),
        ("tokenkeeper_requests_total{request=\"token\",code=\"denied\"}".to_owned(), 3),
        ("tokenkeeper_denials_total{action=\"token\"}".to_owned(), 1),
        (format!("tokenkeeper_refreshes_total{{provider=\"{provider}\",outcome=\"done\"}}"), 1),
        (format!("tokenkeeper_refreshes_total{{provider=\"{provider}\",outcome=\"failed\"}}"), 0),
        (format!("tokenkeeper_provider_up{{provider=\"{provider}\"}}"), 1),
        ("tokenkeeper_sessions{state=\"active\"}".to_owned(), 1),
        ("tokenkeeper_cache_sessions".to_owned(), 1),
        ("tokenkeeper_refresh_unsaved_seconds_count".to_owned(), 1),
        ("tokenkeeper_ready".to_owned(), 1),
    ] {
        assert_eq!(sample(&text, &name), Some(value), "{name} in\n{text}");
    }
    // The repetitions come with the counts of the minute.
    service.record_counts().await;
    assert_eq!(sample(&metrics(&service).await, "tokenkeeper_denials_total{action=\"token\"}"), Some(3));
}

#[tokio::test]
async fn no_label_holds_what_others_choose() {
    let home = Home::new().await;
    let service = service(&home);
    service.answer(&Arc::new(peer(4242)), token_request(home.id)).await;
    let text = metrics(&service).await;
    for word in [home.id.as_str(), home.session().user.name.as_str(), "4242"] {
        assert!(!text.contains(word), "{word} in\n{text}");
    }
}

#[tokio::test]
async fn with_the_longest_names_and_every_code_the_text_fits_into_a_frame() {
    let home = Home::new().await;
    let mut status = service(&home).vital_signs().await.unwrap();
    let name = |number: usize| format!("{number:064}").parse().unwrap();
    let at = Some(UnixSeconds(1_900_000_000));
    status.providers =
        (0..500).map(|number| ProviderStatus { provider: name(number), last_success_at: at, failure: None }).collect();
    let meter = Meter::default();
    for kind in Kind::ALL {
        for code in Code::ALL {
            (0..1000).for_each(|_| meter.answered(*kind, Some(*code)));
        }
    }
    let mut text = Exposition::default();
    daemon(&mut text, &status);
    requests(&mut text, &meter);
    events(&mut text, &status, &Counts::default());
    providers(&mut text, &status);
    // Numbers may become longer, and seven families are missing.
    let length = text.end().len();
    assert!(length < MAX_PAYLOAD - 8 * 1024, "{length} bytes");
}

#[tokio::test]
async fn metrics_take_the_rule_that_the_status_takes() {
    let home = Home::new().await;
    let service = service(&home);
    let told = service.metrics(&peer(7)).await.unwrap_err();
    assert_eq!((told.code, told.audit_reference.is_some()), (Code::Denied, true));
}
