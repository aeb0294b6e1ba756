//! Tables as kubectl prints them.

/// Blanks between two columns.
const GAP: usize = 3;

/// Rows as lines, each column as wide as its widest cell. An empty cell shows as `-`.
pub fn lines<const COLUMNS: usize>(rows: impl IntoIterator<Item = [String; COLUMNS]>) -> String {
    let cell = |text: String| if text.is_empty() { "-".to_owned() } else { printable(&text) };
    let rows: Vec<[String; COLUMNS]> = rows.into_iter().map(|row| row.map(cell)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..COLUMNS).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line += cell;
            line += &" ".repeat(width - cell.chars().count() + GAP);
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

/// Text of others without what could steer a terminal, or turn the order of what it shows.
pub fn printable(text: &str) -> String {
    let turns = |c: char| matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|c| if c.is_control() || turns(c) { '?' } else { c }).collect()
}

/// Bytes for people, for example `1.5 MiB`.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut exponent = 0;
    let mut tenths = u128::from(bytes) * 10 / 1024;
    while tenths >= 10_240 {
        tenths /= 1024;
        exponent += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[exponent])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["NAME", "SIZE"], ["a", ""], ["longer\u{1b}", "1"]].map(|row| row.map(str::to_owned));
        assert_eq!(lines(rows), "NAME      SIZE\na         -\nlonger?   1\n");
    }

    #[test]
    fn sizes_are_for_people() {
        let sizes = [0, 1023, 1024, 1536, (1 << 20) - 1, 1 << 20, 16 << 30, u64::MAX].map(size);
        assert_eq!(sizes, ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "1023.9 KiB", "1.0 MiB", "16.0 GiB", "15.9 EiB"]);
    }
}
