//! The text that monitoring reads: `OpenMetrics` 1.0, and at the same time the older format of Prometheus, whose parser takes
//! for comments what it does not know.

use std::fmt::{Display, Write};

use crate::keeper::Spans;

/// In front of every name.
const PREFIX: &str = "tokenkeeper_";

/// Metrics, written down one family after the other. Writing to memory does not fail.
#[derive(Debug, Default)]
pub(super) struct Exposition(String);

/// The samples of one family.
#[derive(Debug)]
pub(super) struct Family<'a> {
    text: &'a mut String,
    name: String,
}

impl Exposition {
    /// Something that only rises. Its samples end in `_total`, the family does not.
    pub(super) fn counter(&mut self, name: &str, help: &str) -> Family<'_> {
        self.describe(name, "counter", help);
        Family { text: &mut self.0, name: format!("{PREFIX}{name}_total") }
    }

    /// Something that rises and falls.
    pub(super) fn gauge(&mut self, name: &str, help: &str) -> Family<'_> {
        self.describe(name, "gauge", help);
        Family { text: &mut self.0, name: format!("{PREFIX}{name}") }
    }

    /// Spans in seconds, counted in ranges.
    pub(super) fn histogram(&mut self, name: &str, help: &str, spans: &Spans) {
        self.describe(name, "histogram", help);
        let Self(text) = self;
        for (end, count) in &spans.up_to {
            writeln!(text, "{PREFIX}{name}_bucket{{le=\"{:?}\"}} {count}", end.as_secs_f64()).ok();
        }
        let Spans { count, sum, .. } = spans;
        writeln!(text, "{PREFIX}{name}_bucket{{le=\"+Inf\"}} {count}").ok();
        writeln!(text, "{PREFIX}{name}_sum {}\n{PREFIX}{name}_count {count}", sum.as_secs_f64()).ok();
    }

    /// The whole text.
    pub(super) fn end(mut self) -> String {
        self.0.push_str("# EOF\n");
        self.0
    }

    /// `help` is ours: it has nothing in it that would have to be escaped.
    fn describe(&mut self, name: &str, kind: &str, help: &str) {
        let Self(text) = self;
        write!(text, "# TYPE {PREFIX}{name} {kind}\n# HELP {PREFIX}{name} {help}\n").ok();
    }
}

impl Family<'_> {
    /// A sample with these labels.
    pub(super) fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) -> &mut Self {
        self.text.push_str(&self.name);
        for (index, (name, value)) in labels.iter().enumerate() {
            let opening = if index == 0 { '{' } else { ',' };
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            write!(self.text, "{opening}{name}=\"{value}\"").ok();
        }
        let closing = if labels.is_empty() { "" } else { "}" };
        writeln!(self.text, "{closing} {value}").ok();
        self
    }

    /// The only sample of a family.
    pub(super) fn value(&mut self, value: impl Display) {
        self.sample(&[], value);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn families_samples_and_the_end_are_as_openmetrics_wants_them() {
        let mut text = Exposition::default();
        text.counter("requests", "Requests.").sample(&[("request", "token"), ("code", "ok")], 3);
        text.gauge("ready", "Whether.").value(1);
        let expected = "\
# TYPE tokenkeeper_requests counter
# HELP tokenkeeper_requests Requests.
tokenkeeper_requests_total{request=\"token\",code=\"ok\"} 3
# TYPE tokenkeeper_ready gauge
# HELP tokenkeeper_ready Whether.
tokenkeeper_ready 1
# EOF
";
        assert_eq!(text.end(), expected);
    }

    #[test]
    fn a_histogram_counts_up_to_each_end_and_in_all() {
        let mut text = Exposition::default();
        let (short, long) = (Duration::from_micros(2500), Duration::from_secs(1));
        let spans = Spans { up_to: vec![(short, 1), (long, 2)], count: 3, sum: Duration::from_millis(5001) };
        text.histogram("wait_seconds", "Waits.", &spans);
        let expected = "\
# TYPE tokenkeeper_wait_seconds histogram
# HELP tokenkeeper_wait_seconds Waits.
tokenkeeper_wait_seconds_bucket{le=\"0.0025\"} 1
tokenkeeper_wait_seconds_bucket{le=\"1.0\"} 2
tokenkeeper_wait_seconds_bucket{le=\"+Inf\"} 3
tokenkeeper_wait_seconds_sum 5.001
tokenkeeper_wait_seconds_count 3
# EOF
";
        assert_eq!(text.end(), expected);
    }

    #[test]
    fn a_label_cannot_end_its_line_or_itself() {
        let mut text = Exposition::default();
        text.gauge("x", "X.").sample(&[("label", "a\"} 1\n\\")], 0);
        assert!(text.end().contains("tokenkeeper_x{label=\"a\\\"} 1\\n\\\\\"} 0\n"));
    }
}
