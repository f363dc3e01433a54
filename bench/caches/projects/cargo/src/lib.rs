//! Counts what the lines of a log say.

use std::collections::BTreeMap;

use regex::Regex;
use serde::{Deserialize, Serialize};

mod edition;

pub use edition::EDITION;

/// The levels of a log and how often each was found.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub lines: usize,
    pub levels: BTreeMap<String, usize>,
}

/// Reads a log.
pub fn report(text: &str) -> Report {
    let level = Regex::new(r"^\S+ (?P<level>[A-Z]+) ").expect("it is valid");
    let mut report = Report::default();
    for line in text.lines() {
        report.lines += 1;
        if let Some(found) = level.captures(line) {
            *report.levels.entry(found["level"].to_lowercase()).or_default() += 1;
        }
    }
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_levels() {
        let found = report("1 INFO a\n2 WARN b\n3 INFO c\nnothing\n");
        assert_eq!(found.lines, 4);
        assert_eq!(found.levels["info"], 2);
    }
}
