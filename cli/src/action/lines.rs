//! What is to be checked, as people and machines write it: a line for each person or thing.

use std::str::FromStr as _;

use overlap_proto::{action::MOST_WISHED, pb::operator as pb};
use overlap_records::{DateOrder, Hints, Identifier, Kind, Region, Rejection};
use serde_json::Value;

/// How lines are read.
pub(super) struct Reading {
    /// The kind of every value; none: each line says.
    pub(super) kind: Option<Kind>,
    pub(super) region: Region,
    pub(super) dates: DateOrder,
}

impl Reading {
    /// Reads one line; none: there is nothing on it. Errors say where, and never what stood there.
    pub(super) fn line(&self, number: u64, line: &str) -> Result<Option<pb::CheckWish>, String> {
        // spreadsheets begin a file with a byte order mark
        let line = if number == 1 {
            line.trim_start_matches('\u{feff}')
        } else {
            line
        }
        .trim();
        if line.is_empty() || line.starts_with('#') {
            return Ok(None);
        }
        let mut wish = pb::CheckWish {
            number,
            ..pb::CheckWish::default()
        };
        match (self.kind, line.starts_with('{')) {
            (_, true) => self.json(line, &mut wish)?,
            (Some(kind), false) => wish.identifiers.push(self.identifier(kind, line)?),
            (None, false) => {
                for part in line.split('\t').map(str::trim).filter(|part| !part.is_empty()) {
                    let (kind, value) = part
                        .split_once(char::is_whitespace)
                        .ok_or("each part has to be a kind and a value, as in: phone 06-12345678")?;
                    wish.identifiers
                        .push(self.identifier(kind_of(kind, "the first word")?, value)?);
                }
            }
        }
        match wish.identifiers.is_empty() {
            true => Err("there is no identifier".to_owned()),
            false if wish.identifiers.len() > MOST_WISHED => Err(format!(
                "a check has {MOST_WISHED} identifiers at most: make several lines of it"
            )),
            false => Ok(Some(wish)),
        }
    }

    /// `{"phone": "06-12345678", "person": ["Jan Jansen|1985-02-23"], "case": "...", "reason": "..."}`
    fn json(&self, line: &str, wish: &mut pb::CheckWish) -> Result<(), String> {
        const MUST: &str = "it has to be a JSON object whose keys are kinds, case or reason, with texts";
        let Ok(Value::Object(fields)) = serde_json::from_str(line) else {
            return Err(MUST.to_owned());
        };
        for (key, value) in fields {
            let values = match value {
                Value::Array(values) => values,
                one => vec![one],
            };
            for value in values {
                let Value::String(text) = value else {
                    return Err(MUST.to_owned());
                };
                match key.as_str() {
                    "case" => wish.case_reference = text,
                    "reason" => wish.reason = text,
                    kind => {
                        let kind = kind_of(kind, "each key")?;
                        wish.identifiers.push(self.identifier(kind, &text)?);
                    }
                }
            }
        }
        Ok(())
    }

    fn identifier(&self, kind: Kind, raw: &str) -> Result<pb::Identifier, String> {
        let hints = Hints {
            region: self.region,
            dates: self.dates,
            platform: None,
        };
        let made = Identifier::normalise(kind, raw, &hints).map_err(|why| format!("{kind}: {}", told(why)))?;
        Ok(pb::Identifier {
            kind: kind.to_string(),
            canonical: made.canonical().to_owned(),
        })
    }
}

/// What is wrong with a value, which is never repeated; where the words are about columns, those about lines.
fn told(rejection: Rejection) -> String {
    match rejection {
        Rejection::DateFormat => "not a date: use yyyy-mm-dd, or say the order with --dates".to_owned(),
        Rejection::DateOtherOrder => {
            "only fits the other order of day and month: check the date, and --dates".to_owned()
        }
        Rejection::HandlePlatformMissing => {
            "a name without a platform: give the profile's address, or platform:name".to_owned()
        }
        Rejection::TooLong => "too long for an identifier".to_owned(),
        Rejection::SeveralValues => "more than one value: give each its own line, or tabs in between".to_owned(),
        Rejection::ScientificNotation | Rejection::CellDate | Rejection::NumberRounded => {
            "a spreadsheet has changed the value: take it from its source".to_owned()
        }
        Rejection::PersonNameNotValid => "more digits than a slip in a name".to_owned(),
        other => other.to_string(),
    }
}

fn kind_of(word: &str, which: &str) -> Result<Kind, String> {
    // what is no kind may be somebody's name
    Kind::from_str(word).map_err(|_| {
        let all: Vec<&str> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
        format!("{which} has to be a kind: {}", all.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(kind: Option<Kind>) -> Reading {
        Reading {
            kind,
            region: "NL".parse().unwrap(),
            dates: DateOrder::Ymd,
        }
    }

    fn canonical(line: &str, kind: Option<Kind>) -> Vec<String> {
        let wish = reading(kind).line(1, line).unwrap().unwrap();
        wish.identifiers
            .into_iter()
            .map(|one| format!("{} {}", one.kind, one.canonical))
            .collect()
    }

    #[test]
    fn a_line_is_a_value_or_kinds_with_values_or_json() {
        let phone = vec!["phone +31612345678".to_owned()];
        assert_eq!(canonical("06-12345678", Some(Kind::Phone)), phone);
        assert_eq!(canonical("phone 06-12345678", None), phone);
        assert_eq!(canonical(r#"{"phone": ["06-12345678"], "case": "JAD-1"}"#, None), phone);
        assert_eq!(
            canonical("phone 06-12345678\tperson Jan Jansen|1985-02-23", None).len(),
            2
        );
        assert_eq!(canonical("\u{feff}phone 06-12345678", None), phone);
        let many = vec!["phone 06-12345678"; MOST_WISHED + 1].join("\t");
        assert!(reading(None).line(1, &many).unwrap_err().contains("32"));
        for nothing in ["", "   ", "# a remark"] {
            assert!(reading(None).line(1, nothing).unwrap().is_none());
        }
    }

    #[test]
    fn a_bad_line_is_not_repeated() {
        let lines = [
            "CANARY",
            "CANARY 06-12345678",
            "phone CANARY",
            r#"{"phone": 612345678}"#,
            r#"{"CANARY": "x"}"#,
            "{CANARY",
        ];
        for line in lines {
            let error = reading(None).line(1, line).unwrap_err();
            assert!(!error.contains("CANARY") && !error.contains("612345678"), "{error}");
        }
    }
}
