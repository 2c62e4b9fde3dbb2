//! Measurements as a table for people: median, least and most of each, and the ratio of both.

/// One thing that was measured of both, in one unit.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) unit: &'static str,
    pub(crate) subject: Vec<f64>,
    pub(crate) beside: Vec<f64>,
}

/// Markdown, its columns aligned. The columns are named after the subject and what stands beside it.
pub(crate) fn markdown([subject, beside]: [&str; 2], rows: &[Row]) -> String {
    let mut lines = vec![["", "unit", subject, "min – max", beside, "min – max", "ratio"].map(str::to_owned)];
    lines.extend(rows.iter().map(cells));
    let widths: [usize; 7] =
        std::array::from_fn(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default());
    let rule = std::array::from_fn(|column| match column {
        0 | 1 => "-".repeat(widths[column]),
        _ => "-".repeat(widths[column].saturating_sub(1)) + ":",
    });
    lines.insert(1, rule);
    let line = |cells: &[String; 7]| {
        let padded = std::array::from_fn::<_, 7, _>(|column| match column {
            0 | 1 => format!("{:<width$}", cells[column], width = widths[column]),
            _ => format!("{:>width$}", cells[column], width = widths[column]),
        });
        format!("| {} |\n", padded.join(" | "))
    };
    lines.iter().map(line).collect()
}

fn cells(row: &Row) -> [String; 7] {
    let (subject, beside) = (median(&row.subject), median(&row.beside));
    [
        row.what.clone(),
        row.unit.to_owned(),
        number(subject),
        range(&row.subject),
        number(beside),
        range(&row.beside),
        format!("{:.1}", subject / beside),
    ]
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { f64::midpoint(sorted[middle - 1], sorted[middle]) }
}

fn range(values: &[f64]) -> String {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    format!("{} – {}", number(least), number(most))
}

fn number(value: f64) -> String {
    if value < 100.0 { format!("{value:.1}") } else { format!("{value:.0}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_the_medians_and_their_ratio() {
        let row =
            Row { what: "cold".into(), unit: "ms", subject: vec![9.0, 4.0, 200.0], beside: vec![1.0, 2.0, 3.0, 4.0] };
        let expected = "\
| \x20    | unit | webhook | min – max | hello | min – max | ratio |
| ---- | ---- | ------: | --------: | ----: | --------: | ----: |
| cold | ms   |     9.0 | 4.0 – 200 |   2.5 | 1.0 – 4.0 |   3.6 |
";
        assert_eq!(markdown(["webhook", "hello"], &[row]), expected);
    }
}
