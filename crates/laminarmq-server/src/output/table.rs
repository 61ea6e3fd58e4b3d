//! A plain table: upper-case headings, columns two spaces apart, no lines. Every cell stays one
//! word per column where it can, so that `awk` works on it too.

/// Where the text of a column stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// Rows under headings. Every row has as many cells as there are columns.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(columns: &[(&'static str, Align)]) -> Self {
        Self {
            columns: columns.to_vec(),
            rows: Vec::new(),
        }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let row: Vec<String> = cells.into_iter().collect();
        assert_eq!(row.len(), self.columns.len(), "a cell for each column");
        self.rows.push(row);
    }

    /// The lines, the headings first, without spaces at their ends.
    pub(crate) fn lines(&self) -> Vec<String> {
        let widths: Vec<usize> = self
            .columns
            .iter()
            .enumerate()
            .map(|(at, (heading, _))| {
                let cells = self.rows.iter().map(|row| row[at].chars().count());
                cells.max().unwrap_or(0).max(heading.len())
            })
            .collect();
        let headings = self.columns.iter().map(|(heading, _)| *heading);
        let mut lines = vec![self.line(headings, &widths)];
        for row in &self.rows {
            lines.push(self.line(row.iter().map(String::as_str), &widths));
        }
        lines
    }

    fn line<'a>(&self, cells: impl Iterator<Item = &'a str>, widths: &[usize]) -> String {
        let mut line = String::new();
        for ((cell, width), (_, align)) in cells.zip(widths).zip(&self.columns) {
            if !line.is_empty() {
                line.push_str("  ");
            }
            match align {
                Align::Left => line.push_str(&format!("{cell:<width$}")),
                Align::Right => line.push_str(&format!("{cell:>width$}")),
            }
        }
        line.truncate(line.trim_end().len());
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(&[("NAME", Align::Left), ("SIZE", Align::Right)]);
        table.row([String::from("a-long-name"), String::from("7")]);
        table.row([String::from("ä"), String::from("12345")]);
        assert_eq!(
            table.lines(),
            [
                "NAME          SIZE",
                "a-long-name      7",
                "ä            12345",
            ]
        );
    }

    #[test]
    fn a_table_without_rows_is_its_headings() {
        let table = Table::new(&[("A", Align::Left), ("B", Align::Left)]);
        assert_eq!(table.lines(), ["A  B"]);
    }
}
