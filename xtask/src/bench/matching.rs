//! What it costs to match an event against many routes, a route.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use system_tests::parts::workspace;

use super::table::Row;
use crate::steps::{cargo, run};

/// Of the table: each size beside the smallest. A cost that grows with the number of routes shows as a ratio above 1.
pub(crate) const COLUMNS: [&str; 2] = ["of so many", "of the fewest"];

pub(crate) fn build() -> Result<()> {
    run(cargo().args(["build", "--release", "--package", "shared", "--example", "matching"]))
}

pub(crate) fn rows() -> Result<Vec<Row>> {
    let output = Command::new(workspace().join("target/release/examples/matching")).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    read(&String::from_utf8(output.stdout)?)
}

/// A line a size: the number of routes, then nanoseconds a route, round by round.
fn read(printed: &str) -> Result<Vec<Row>> {
    let mut rows: Vec<Row> = Vec::new();
    for line in printed.lines() {
        let (routes, rounds) = line.split_once(' ').context("a line has a number of routes and its rounds")?;
        let rounds: Vec<f64> = rounds.split(' ').map(str::parse).collect::<Result<_, _>>().context(line.to_owned())?;
        let fewest = rows.first().map_or_else(|| rounds.clone(), |first| first.subject.clone());
        rows.push(Row { what: format!("one route of {routes}"), unit: "ns", subject: rounds, beside: fewest });
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_size_stands_beside_the_smallest() {
        let rows = read("10 1.5 2.5\n100 3.0 5.0\n").expect("two lines");
        let numbers: Vec<_> = rows.iter().map(|row| (&*row.what, &*row.subject, &*row.beside)).collect();
        let fewest: &[f64] = &[1.5, 2.5];
        assert_eq!(numbers, [("one route of 10", fewest, fewest), ("one route of 100", &[3.0, 5.0], fewest)]);
        assert!(read("10").is_err() && read("10 x").is_err());
    }
}
