//! The figures, as a table for people and as JSON for whoever compares runs.

use std::fmt;
use std::path::Path;

use anyhow::Context;
use serde_json::{Map, Value};

#[derive(Default)]
pub(crate) struct Report {
    figures: Vec<Figure>,
}

struct Figure {
    name: &'static str,
    value: f64,
    aim: Option<Aim>,
    note: &'static str,
}

/// What a figure should be.
#[derive(Clone, Copy)]
pub(crate) enum Aim {
    AtMost(f64),
    AtLeast(f64),
}

impl Report {
    pub(crate) fn add(&mut self, name: &'static str, value: f64, note: &'static str) {
        self.figures.push(Figure { name, value, aim: None, note });
    }

    pub(crate) fn add_aimed(&mut self, name: &'static str, value: f64, aim: Aim, note: &'static str) {
        self.figures.push(Figure { name, value, aim: Some(aim), note });
    }

    /// One flat object: the name of each figure and its value.
    pub(crate) fn write(&self, file: &Path) -> anyhow::Result<()> {
        let members = self.figures.iter().map(|figure| (figure.name.to_owned(), Value::from(figure.value)));
        let text = serde_json::to_string_pretty(&members.collect::<Map<_, _>>())?;
        std::fs::write(file, text + "\n").with_context(|| format!("cannot write {}", file.display()))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Figure { name, value, aim, note } in &self.figures {
            let aim = match aim {
                Some(Aim::AtMost(limit)) if value <= limit => format!("aim <= {limit}: met"),
                Some(Aim::AtMost(limit)) => format!("aim <= {limit}: MISSED"),
                Some(Aim::AtLeast(limit)) if value >= limit => format!("aim >= {limit}: met"),
                Some(Aim::AtLeast(limit)) => format!("aim >= {limit}: MISSED"),
                None => String::new(),
            };
            writeln!(f, "{name:<28}{value:>12.3}  {aim:<20}{note}")?;
        }
        Ok(())
    }
}
