//! What is to be checked, as people and machines write it: a line for each person or thing.

use std::{collections::HashSet, fmt, str::FromStr as _};

use overlap_proto::{action::MOST_WISHED, pb::operator as pb};
use overlap_records::{DateOrder, Hints, Identifier, Kind, Region, Rejection};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
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
            (Some(_), false) if line.contains('\t') => {
                return Err("a tab parts identifiers of different kinds: leave out --kind".to_owned());
            }
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
        let Ok(Fields(fields)) = serde_json::from_str(line) else {
            return Err(MUST.to_owned());
        };
        let mut keys = HashSet::new();
        for (key, value) in &fields {
            if !keys.insert(key) {
                return Err("a key comes twice: give several values as a list".to_owned());
            }
            let values = match value {
                Value::Array(values) => values.as_slice(),
                one => std::slice::from_ref(one),
            };
            for value in values {
                let Value::String(text) = value else {
                    return Err(MUST.to_owned());
                };
                match key.as_str() {
                    "case" => wish.case_reference.clone_from(text),
                    "reason" => wish.reason.clone_from(text),
                    kind => {
                        let kind = kind_of(kind, "each key")?;
                        wish.identifiers.push(self.identifier(kind, text)?);
                    }
                }
            }
        }
        Ok(())
    }

    fn identifier(&self, kind: Kind, raw: &str) -> Result<pb::Identifier, String> {
        // what would be looked up with the word in it hits nothing, and looks like a good answer
        if let Some(word) = raw.split_whitespace().find_map(|word| Kind::from_str(word).ok()) {
            return Err(format!(
                "the word {word} stands within a value of kind {kind}: with --kind a line is the value alone; without it tabs, not blanks, part several identifiers"
            ));
        }
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

/// The fields of a JSON object as they stand there, also where a key comes twice.
struct Fields(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Each)
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
    fn what_would_be_looked_up_wrongly_is_refused() {
        for (line, kind, why) in [
            ("document NXA00002", Some(Kind::Document), "the word document"),
            ("NXA00002\tNXB00001", Some(Kind::Document), "a tab"),
            ("document NXA00002 phone 06-12345678", None, "the word phone"),
            ("person Jan Jansen phone 06-12345678", None, "the word phone"),
            (r#"{"document": "NXA00001", "document": "NXZ99999"}"#, None, "twice"),
        ] {
            let error = reading(kind).line(1, line).unwrap_err();
            assert!(
                error.contains(why) && !error.contains("NX") && !error.contains("1234"),
                "{line}: {error}"
            );
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
