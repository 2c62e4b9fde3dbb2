//! Measurements as a table for people.

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
    let head = ["", "unit", subject, "min – max", beside, "min – max", "ratio"].map(str::to_owned);
    let lines: Vec<_> = std::iter::once(head).chain(rows.iter().map(cells)).collect();
    aligned(&lines, 2)
}

/// Markdown of `lines`, of which the first is the head. The first `texts` columns are text, the others numbers.
pub(crate) fn aligned<const N: usize>(lines: &[[String; N]], texts: usize) -> String {
    let widths: [usize; N] =
        std::array::from_fn(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default());
    let rule: [String; N] = std::array::from_fn(|column| {
        if column < texts { "-".repeat(widths[column]) } else { "-".repeat(widths[column].saturating_sub(1)) + ":" }
    });
    let line = |cells: &[String; N]| {
        let padded = std::array::from_fn::<_, N, _>(|column| {
            let (cell, width) = (&cells[column], widths[column]);
            if column < texts { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        format!("| {} |\n", padded.join(" | "))
    };
    let (head, rows) = lines.split_at(lines.len().min(1));
    head.iter().chain([&rule]).chain(rows).map(line).collect()
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

pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { f64::midpoint(sorted[middle - 1], sorted[middle]) }
}

/// What `share` of 100 values do not exceed.
pub(crate) fn percentile(values: &[f64], share: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[(sorted.len() * share).div_ceil(100).max(1) - 1]
}

fn range(values: &[f64]) -> String {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    format!("{} – {}", number(least), number(most))
}

pub(crate) fn number(value: f64) -> String {
    if value < 100.0 { format!("{value:.1}") } else { format!("{value:.0}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_what_so_many_do_not_exceed() {
        let values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        let found = [95, 99, 100, 0].map(|share| number(percentile(&values, share)));
        assert_eq!(found, ["95.0", "99.0", "100", "1.0"]);
        assert_eq!(number(percentile(&[7.0], 95)), "7.0");
    }

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
