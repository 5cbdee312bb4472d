//! Results go to standard output, everything else to standard error.

use std::io::{self, IsTerminal, Write};

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::error::Failure;

/// How results are told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    pub(crate) json: bool,
}

impl Output {
    /// Tells a result: as JSON, or as the lines that `text` makes of it.
    pub(crate) fn tell<T: Serialize>(self, result: &T, text: impl FnOnce(&T) -> String) -> Result<(), Failure> {
        if self.json { json(result) } else { print(&text(result)) }
    }
}

/// One object in JSON, on one line.
pub(crate) fn json<T: Serialize>(result: &T) -> Result<(), Failure> {
    let line = serde_json::to_string(result).map_err(|error| Failure::Service(error.to_string()))?;
    print(&(line + "\n"))
}

/// Writes to standard output.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(|error| Failure::output(&error))
}

/// A line on standard error. If nobody reads that, so be it.
pub(crate) fn note(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// A bar on standard error for so many bytes; hidden where there is no terminal.
pub(crate) fn byte_bar(what: &str, bytes: u64) -> ProgressBar {
    bar(what, "{msg} {wide_bar} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec}", Some(bytes))
}

/// A count on standard error; hidden where there is no terminal.
pub(crate) fn counter(what: &str) -> ProgressBar {
    bar(what, "{msg} {human_pos} {per_sec}", None)
}

fn bar(what: &str, template: &str, length: Option<u64>) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(length, indicatif::ProgressDrawTarget::stderr())
        .with_style(style)
        .with_message(what.to_owned())
}

/// Columns of even width, two spaces apart. Those in `right` (by index) end in line, the others begin in line.
pub(crate) fn columns(rows: &[Vec<String>], right: &[usize]) -> String {
    let width = |index: usize| rows.iter().filter_map(|row| row.get(index)).map(|cell| cell.chars().count()).max();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (index, cell) in row.iter().enumerate() {
            let width = width(index).unwrap_or_default();
            let cell = if right.contains(&index) { format!("{cell:>width$}") } else { format!("{cell:<width$}") };
            line.push_str(if index == 0 { "" } else { "  " });
            line.push_str(&cell);
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_in_line() {
        let rows = [["run", "records"], ["a-é", "1"], ["b", "1,000"]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(columns(&rows, &[1]), "run  records\na-é        1\nb      1,000\n");
    }

    #[test]
    fn bars_are_well_formed() {
        for template in [
            "{msg} {wide_bar} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec}",
            "{msg} {human_pos} {per_sec}",
        ] {
            ProgressStyle::with_template(template).unwrap();
        }
    }
}
