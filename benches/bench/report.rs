//! The figures, as a table for people and as JSON for whoever compares runs.

use std::fmt;
use std::path::Path;

use anyhow::Context;
use serde_json::{Map, Value};

use crate::compare::Outcome;

/// How far an echo may be from its twin before nothing measured beside them counts.
const TRUSTED_NOISE: f64 = 0.05;

#[derive(Default)]
pub(crate) struct Report {
    figures: Vec<Figure>,
}

struct Figure {
    name: String,
    value: f64,
    aim: Option<Aim>,
    /// What the echo made of itself in the same rounds, for a ratio to it.
    noise: Option<f64>,
    note: &'static str,
}

/// What a figure should be.
#[derive(Clone, Copy)]
pub(crate) enum Aim {
    AtMost(f64),
    AtLeast(f64),
}

impl Report {
    pub(crate) fn add(&mut self, name: impl Into<String>, value: f64, note: &'static str) {
        self.figures.push(Figure { name: name.into(), value, aim: None, noise: None, note });
    }

    pub(crate) fn add_aimed(&mut self, name: &'static str, value: f64, aim: Aim, note: &'static str) {
        self.figures.push(Figure { name: name.to_owned(), value, aim: Some(aim), noise: None, note });
    }

    /// A ratio to the echo.
    pub(crate) fn add_ratio(&mut self, name: &'static str, outcome: &Outcome, aim: Option<Aim>, note: &'static str) {
        self.add_noisy(name, outcome.ratio, outcome.noise, aim, note);
    }

    /// A ratio to something, and the ratio of that to itself.
    pub(crate) fn add_noisy(
        &mut self,
        name: impl Into<String>,
        value: f64,
        noise: f64,
        aim: Option<Aim>,
        note: &'static str,
    ) {
        self.figures.push(Figure { name: name.into(), value, aim, noise: Some(noise), note });
    }

    /// One flat object: the name of each figure and its value, and for a ratio its noise. Figures that another run left there
    /// and this one did not take stay.
    pub(crate) fn write(&self, file: &Path) -> anyhow::Result<()> {
        let left = std::fs::read_to_string(file).ok().and_then(|text| serde_json::from_str(&text).ok());
        let mut members: Map<String, Value> = left.unwrap_or_default();
        for Figure { name, value, noise, .. } in &self.figures {
            members.insert(name.clone(), Value::from(*value));
            if let Some(noise) = noise {
                members.insert(format!("{name}_noise"), Value::from(*noise));
            }
        }
        let text = serde_json::to_string_pretty(&members)?;
        std::fs::write(file, text + "\n").with_context(|| format!("cannot write {}", file.display()))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Figure { name, value, aim, noise, note } in &self.figures {
            let aim = match aim {
                Some(Aim::AtMost(limit)) if value <= limit => format!("aim <= {limit}: met"),
                Some(Aim::AtMost(limit)) => format!("aim <= {limit}: MISSED"),
                Some(Aim::AtLeast(limit)) if value >= limit => format!("aim >= {limit}: met"),
                Some(Aim::AtLeast(limit)) => format!("aim >= {limit}: MISSED"),
                None => String::new(),
            };
            let noise = match noise {
                Some(noise) if (noise - 1.0).abs() <= TRUSTED_NOISE => format!("; noise {noise:.3}"),
                Some(noise) => format!("; noise {noise:.3}: NOT TO BE TRUSTED, measure again"),
                None => String::new(),
            };
            writeln!(f, "{name:<34}{value:>12.3}  {aim:<20}{note}{noise}")?;
        }
        Ok(())
    }
}
