//! Tables for people: aligned columns, plain text.

/// Rows below a heading; every row has as many cells as the heading.
pub(super) struct Table<const N: usize> {
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    /// A table with nothing but its heading.
    pub(super) fn new(heading: [&str; N]) -> Self {
        Self { rows: vec![heading.map(str::to_owned)] }
    }

    pub(super) fn row(&mut self, cells: [String; N]) {
        self.rows.push(cells);
    }

    /// The table, each line ended, without trailing blanks; nothing where it has no rows.
    pub(super) fn show(&self) -> String {
        if self.rows.len() < 2 {
            return String::new();
        }
        let rows: Vec<[String; N]> = self.rows.iter().map(|row| row.each_ref().map(|cell| plain(cell))).collect();
        let mut widths = [0; N];
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let line = |row: &[String; N]| {
            let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
            cells.join("  ").trim_end().to_owned() + "\n"
        };
        rows.iter().map(line).collect()
    }
}

/// The text without what could move the cursor or end the line.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '\u{fffd}' } else { character }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_cells_stay_on_their_line() {
        let mut table = Table::new(["NAME", "WEIGHT", "X"]);
        table.row(["a\n\x1b[2J".into(), "5".into(), String::new()]);
        table.row(["längster".into(), "100".into(), "y".into()]);
        assert_eq!(table.show(), "NAME      WEIGHT  X\na\u{fffd}\u{fffd}[2J    5\nlängster  100     y\n");
        assert_eq!(Table::new(["NAME"]).show(), "");
    }
}
