//! One JSON object per run, on one line.

use std::fmt::Write as _;

/// Collects the members of the object in the order in which they are added.
#[derive(Default)]
pub struct Report {
    text: String,
}

impl Report {
    /// An object without members.
    pub fn new() -> Self {
        Report::default()
    }

    /// Adds a string.
    pub fn text(&mut self, name: &str, value: &str) -> &mut Self {
        self.name(name);
        quote(value, &mut self.text);
        self
    }

    /// Adds a whole number.
    pub fn count(&mut self, name: &str, value: u64) -> &mut Self {
        self.name(name);
        let _ = write!(self.text, "{value}");
        self
    }

    /// Adds a number; what JSON cannot express becomes null.
    pub fn number(&mut self, name: &str, value: f64) -> &mut Self {
        self.name(name);
        if value.is_finite() {
            let _ = write!(self.text, "{value:.6}");
        } else {
            self.text.push_str("null");
        }
        self
    }

    /// The object as one line of JSON.
    pub fn to_json(&self) -> String {
        format!("{{{}}}", self.text)
    }

    fn name(&mut self, name: &str) {
        if !self.text.is_empty() {
            self.text.push_str(", ");
        }
        quote(name, &mut self.text);
        self.text.push_str(": ");
    }
}

fn quote(value: &str, out: &mut String) {
    out.push('"');
    for character in value.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if u32::from(c) < 0x20 => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_keep_their_order_and_strings_are_escaped() {
        let mut report = Report::new();
        report.text("error", "-ERR 'x'\r\n\"\\").count("lost", 3).number("seconds", 1.5).number("bad", f64::NAN);
        assert_eq!(
            report.to_json(),
            r#"{"error": "-ERR 'x'\u000d\u000a\"\\", "lost": 3, "seconds": 1.500000, "bad": null}"#
        );
    }
}
