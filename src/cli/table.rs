//! Plain tables for people.

use crate::out::plain;

/// Rows below a heading, columns as wide as they must be; numbers to the right.
///
/// Cells may say what others chose: whatever a terminal would obey is escaped.
pub(super) fn table(heading: &[&str], rows: &[Vec<String>]) -> String {
    let rows = rows.iter().map(|row| {
        let cells = row.iter().map(|cell| plain(cell).into_owned());
        cells.collect::<Vec<String>>()
    });
    let rows: Vec<Vec<String>> = rows.collect();
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .chain([heading[column].len()])
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..heading.len()).map(width).collect();
    let numeric: Vec<bool> = (0..heading.len())
        .map(|column| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            let mut cells = cells.filter(|cell| *cell != "-").peekable();
            cells.peek().is_some() && cells.all(|cell| cell.parse::<f64>().is_ok())
        })
        .collect();
    let mut text = String::new();
    let mut line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut row = String::new();
        for (column, cell) in cells.enumerate() {
            let fill = " ".repeat(widths[column].saturating_sub(cell.chars().count()));
            let (left, right) = if numeric[column] {
                (fill.as_str(), "")
            } else {
                ("", fill.as_str())
            };
            row.push_str(&format!("{left}{cell}{right}  "));
        }
        text.push_str(row.trim_end());
        text.push('\n');
    };
    line(&mut heading.iter().copied());
    for row in &rows {
        line(&mut row.iter().map(String::as_str).take(heading.len()));
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn columns_line_up() {
        let rows = [
            vec!["a".into(), "10".into()],
            vec!["long".into(), "7".into()],
        ];
        let text = super::table(&["NAME", "N"], &rows);
        assert_eq!(text, "NAME   N\na     10\nlong   7\n");
    }

    #[test]
    fn a_cell_can_not_forge_a_row() {
        let rows = [vec!["a\nb  7\x1b[2K".into(), "1".into()]];
        let text = super::table(&["NAME", "N"], &rows);
        assert_eq!(text, "NAME              N\na\\nb  7\\u{1b}[2K  1\n");
    }

    #[test]
    fn a_column_without_any_value_is_text() {
        let rows = [vec!["a".into(), "-".into()]];
        let text = super::table(&["NAME", "MODEL"], &rows);
        assert_eq!(text, "NAME  MODEL\na     -\n");
    }
}
