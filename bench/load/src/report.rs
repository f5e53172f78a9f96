//! The table: a row for each figure, a column for each peer, ours against nginx and
//! configurable-http-proxy, and what was promised.

use crate::peers::{CHP, NGINX, OURS, PEERS};
use std::fmt::Write as _;

/// What one peer did.
#[derive(Clone, Debug)]
pub(crate) enum Cell {
    Value(f64),
    /// Not measured, and why.
    Left(&'static str),
    Failed,
}

/// What ours must reach.
#[derive(Clone, Copy)]
pub(crate) enum Goal {
    None,
    TimesNginx(f64),
    AtMost(f64),
    AtLeast(f64),
}

pub(crate) struct Row {
    pub(crate) what: String,
    /// In the order of [`PEERS`].
    pub(crate) cells: Vec<Cell>,
    pub(crate) goal: Goal,
}

impl Row {
    fn value(&self, peer: usize) -> Option<f64> {
        match self.cells.get(peer) {
            Some(Cell::Value(value)) => Some(*value),
            _ => None,
        }
    }

    fn ratio_to(&self, peer: usize) -> Option<f64> {
        let other = self.value(peer).filter(|value| *value > 0.0)?;
        Some(self.value(OURS)? / other)
    }

    /// Whether ours reached the goal; none where there is none or nothing was measured.
    fn is_reached(&self) -> Option<bool> {
        match self.goal {
            Goal::None => None,
            Goal::TimesNginx(most) => Some(self.ratio_to(NGINX)? <= most),
            Goal::AtMost(most) => Some(self.value(OURS)? <= most),
            Goal::AtLeast(least) => Some(self.value(OURS)? >= least),
        }
    }

    fn show_goal(&self) -> String {
        let goal = match self.goal {
            Goal::None => return String::new(),
            Goal::TimesNginx(most) => format!("≤ {most:.1}× nginx"),
            Goal::AtMost(most) => format!("≤ {}", show(most)),
            Goal::AtLeast(least) => format!("≥ {}", show(least)),
        };
        let mark = match self.is_reached() {
            Some(true) => " ✓",
            Some(false) => " **(missed)**",
            None => "",
        };
        format!("{goal}{mark}")
    }
}

/// Markdown.
pub(crate) fn render(rows: &[Row]) -> String {
    let names: Vec<&str> = PEERS.iter().map(|peer| peer.name).collect();
    let mut text = format!(
        "| what | {} | ÷ nginx | ÷ {} | goal |\n|---|{}--:|--:|---|\n",
        names.join(" | "),
        PEERS[CHP].name,
        "--:|".repeat(PEERS.len())
    );
    for row in rows {
        let cells: Vec<String> = row
            .cells
            .iter()
            .map(|cell| match cell {
                Cell::Value(value) => show(*value),
                Cell::Left(why) => (*why).to_owned(),
                Cell::Failed => "failed".to_owned(),
            })
            .collect();
        let ratio = |peer| {
            row.ratio_to(peer)
                .map_or_else(String::new, |ratio| format!("{ratio:.2}"))
        };
        writeln!(
            text,
            "| {} | {} | {} | {} | {} |",
            row.what,
            cells.join(" | "),
            ratio(NGINX),
            ratio(CHP),
            row.show_goal()
        )
        .expect("a string takes everything");
    }
    text
}

/// Three digits or so; thousands apart.
pub(crate) fn show(value: f64) -> String {
    let digits = match value.abs() {
        0.0 => 0,
        size if size < 10.0 => 2,
        size if size < 100.0 => 1,
        _ => 0,
    };
    let text = format!("{value:.digits$}");
    let (whole, fraction) = text.split_at(text.find('.').unwrap_or(text.len()));
    let (sign, whole) = whole.split_at(usize::from(whole.starts_with('-')));
    let mut apart = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            apart.push(',');
        }
        apart.push(digit);
    }
    format!("{sign}{apart}{fraction}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let check = |value: f64, expect: &str| assert_eq!(show(value), expect, "{value}");
        check(0.0, "0");
        check(0.954, "0.95");
        check(16.33, "16.3");
        check(194.4, "194");
        check(31_345.2, "31,345");
        check(1_234_567.0, "1,234,567");
        check(-12.34, "-12.3");
    }

    #[test]
    fn a_row_says_whether_its_goal_is_reached() {
        let check = |cells: [Cell; 4], goal: Goal, expect: &str| {
            let row = Row {
                what: "x".to_owned(),
                cells: cells.to_vec(),
                goal,
            };
            let text = render(&[row]);
            assert_eq!(text.lines().nth(2), Some(expect));
        };
        let cells = |ours| {
            [
                Cell::Value(200.0),
                Cell::Value(20.0),
                Cell::Left("n/a"),
                Cell::Value(ours),
            ]
        };
        check(
            cells(20.0),
            Goal::TimesNginx(1.0),
            "| x | 200 | 20.0 | n/a | 20.0 | 1.00 | 0.10 | ≤ 1.0× nginx ✓ |",
        );
        check(
            cells(30.0),
            Goal::TimesNginx(1.1),
            "| x | 200 | 20.0 | n/a | 30.0 | 1.50 | 0.15 | ≤ 1.1× nginx **(missed)** |",
        );
        check(
            [Cell::Failed, Cell::Value(0.0), Cell::Failed, Cell::Failed],
            Goal::AtMost(8.0),
            "| x | failed | 0 | failed | failed |  |  | ≤ 8.00 |",
        );
    }
}
