//! What people and machines see: tables or JSON on standard output, progress and failures on standard error.

use std::io::{self, IsTerminal, Write};

use comfy_table::{Attribute, Cell, ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::client::Failure;

/// Where a command prints.
pub(crate) struct Output {
    json: bool,
    out: Box<dyn Write + Send>,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self {
            json,
            out: Box::new(io::stdout()),
        }
    }

    /// For work inside a command that tells of it itself.
    pub(crate) fn quiet() -> Self {
        Self {
            json: true,
            out: Box::new(io::sink()),
        }
    }

    pub(crate) fn json(&self) -> bool {
        self.json
    }

    pub(crate) fn writer(&mut self) -> &mut dyn Write {
        &mut *self.out
    }

    /// Prints a value as JSON, or what `people` writes.
    pub(crate) fn print(
        &mut self,
        value: &impl Serialize,
        people: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), Failure> {
        let printed = if self.json {
            serde_json::to_writer_pretty(&mut self.out, value)
                .map_err(io::Error::from)
                .and_then(|()| writeln!(self.out))
        } else {
            people(&mut *self.out)
        };
        match printed.and_then(|()| self.out.flush()) {
            // who reads only the head of it has what they want
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            printed => printed.map_err(Failure::internal),
        }
    }

    /// Prints a line for people only.
    pub(crate) fn say(&mut self, line: impl std::fmt::Display) -> Result<(), Failure> {
        if self.json {
            return Ok(());
        }
        writeln!(self.out, "{line}")
            .and_then(|()| self.out.flush())
            .map_err(Failure::internal)
    }

    /// A bar on standard error; not when piped, nor beside JSON.
    pub(crate) fn bar(&self, template: &str) -> ProgressBar {
        let bar = ProgressBar::no_length();
        if self.json || !io::stderr().is_terminal() {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        bar.set_style(self.style(template));
        bar
    }

    /// The one style of bars.
    pub(crate) fn style(&self, template: &str) -> ProgressStyle {
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        style.progress_chars("━╸─")
    }

    /// Prints a failure on standard error.
    pub(crate) fn failure(&mut self, failure: &Failure) {
        #[derive(Serialize)]
        struct Shape<'a> {
            error: &'a str,
            reason: Option<&'a str>,
            message: String,
        }
        let message = format!("{:#}", failure.error);
        let line = if self.json {
            let shape = Shape {
                error: failure.kind.name(),
                reason: failure.reason.map(|reason| reason.name()),
                message,
            };
            serde_json::to_string(&shape).unwrap_or_default()
        } else {
            format!("overlap: {message}")
        };
        // nobody is left to tell if this fails
        let _ = writeln!(io::stderr(), "{line}");
    }
}

const NARROWEST: u16 = 40;
const USUAL: u16 = 120;

/// A table in the one style of this command.
pub(crate) fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header.map(|text| Cell::new(text).add_attribute(Attribute::Bold)));
    // a terminal that does not know its width says 0
    if table.width().is_some_and(|width| width < NARROWEST) {
        table.set_width(USUAL);
    }
    table
}

/// A spreadsheet would read such a cell as a formula; where it takes `;` for the delimiter, so it would what follows one.
pub(crate) fn no_formula(cell: &mut String) {
    let mut before = ';';
    let mut safe = String::with_capacity(cell.len());
    for c in cell.chars() {
        if matches!(before, ';' | '\t') && matches!(c, '=' | '+' | '@' | '-' | '\t') {
            safe.push('\'');
        }
        safe.push(c);
        before = c;
    }
    *cell = safe;
}

/// A number with thin groups of three, as in 1,234,567.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1234567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }
}
