//! Tables for people: aligned columns, plain text, lengths of time.

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

/// The two largest units of a length of time.
pub(super) fn ago(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, _, _) => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
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
