//! What a measurement says, and whether it is what was aimed at.

use std::time::Duration;

use serde::Serialize;

use crate::failure::Failure;
use crate::output::{Cell, Output};

/// One measured figure.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Figure {
    /// What was measured.
    pub(super) what: &'static str,
    /// How much.
    pub(super) value: f64,
    /// Of what.
    pub(super) unit: &'static str,
    /// What it should be; figures that only explain others have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    aim: Option<Aim>,
}

/// What a figure should be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Aim {
    AtLeast(f64),
    AtMost(f64),
}

impl Figure {
    /// A figure without an aim.
    pub(super) fn new(what: &'static str, value: f64, unit: &'static str) -> Self {
        Self { what, value, unit, aim: None }
    }

    /// A time in milliseconds.
    pub(super) fn ms(what: &'static str, time: Duration) -> Self {
        Self::new(what, time.as_secs_f64() * 1000.0, "ms")
    }

    /// The same, which should not be smaller.
    pub(super) fn at_least(self, least: f64) -> Self {
        Self { aim: Some(Aim::AtLeast(least)), ..self }
    }

    /// The same, which should not be larger.
    pub(super) fn at_most(self, most: f64) -> Self {
        Self { aim: Some(Aim::AtMost(most)), ..self }
    }

    fn row(&self) -> Vec<Cell> {
        let (aim, met) = match self.aim {
            None => (String::new(), ""),
            Some(Aim::AtLeast(least)) => (format!(">= {}", shown(least)), yes(self.value >= least)),
            Some(Aim::AtMost(most)) => (format!("<= {}", shown(most)), yes(self.value <= most)),
        };
        vec![
            Cell::plain(self.what),
            Cell::plain(shown(self.value)),
            Cell::plain(self.unit),
            Cell::plain(aim),
            Cell::plain(met),
        ]
    }
}

fn yes(met: bool) -> &'static str {
    if met { "yes" } else { "no" }
}

/// Three digits that count; more would be noise.
fn shown(value: f64) -> String {
    match value {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

/// Prints figures as a table, or as JSON.
pub(super) fn print(figures: &[Figure], output: &Output) -> Result<(), Failure> {
    if output.is_json() {
        return Ok(output.json(&figures)?);
    }
    let rows: Vec<_> = figures.iter().map(Figure::row).collect();
    Ok(output.table(&["FIGURE", "MEASURED", "UNIT", "AIM", "MET"], &rows)?)
}

/// The time below which `percent` of sorted times lie; `None` of no times.
pub(super) fn percentile(sorted: &[Duration], percent: usize) -> Option<Duration> {
    sorted.get(sorted.len().saturating_sub(1) * percent / 100).copied()
}

/// The middle one of some times; `None` of none.
pub(super) fn median(times: &[Duration]) -> Option<Duration> {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    percentile(&sorted, 50)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_measured_times() {
        let sorted: Vec<Duration> = (1..=101).map(Duration::from_millis).collect();
        let ms = |percent| percentile(&sorted, percent).unwrap().as_millis();
        assert_eq!((ms(50), ms(99), ms(100)), (51, 100, 101));
        assert_eq!(percentile(&[], 50), None);
        assert_eq!(median(&[sorted[4], sorted[0], sorted[2]]), Some(sorted[2]));
    }

    #[test]
    fn an_aim_is_met_at_its_bound() {
        let texts = |figure: Figure| format!("{:?}", figure.row());
        assert!(texts(Figure::new("x", 1.3, "x").at_most(1.3)).contains("yes"));
        assert!(texts(Figure::new("x", 1.31, "x").at_most(1.3)).contains("\"no\""));
        assert!(texts(Figure::new("x", 4999.0, "/s").at_least(5000.0)).contains("\"no\""));
        let json = serde_json::to_value(Figure::new("x", 1.0, "x").at_most(2.0)).unwrap();
        assert_eq!(json["aim"]["at_most"], 2.0);
    }
}
