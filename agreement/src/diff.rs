//! What differs between two documents of a kind.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::signed::Document;

/// A field that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Path of the field, such as `grant[0].max_set_size`.
    pub field: String,
    /// Its JSON in the first; none: it is not there.
    pub from: Option<String>,
    /// Its JSON in the second; none: it is not there.
    pub to: Option<String>,
}

/// Every field in which two documents differ, by path.
pub fn diff<D: Document>(one: &D, other: &D) -> Vec<Change> {
    let (mut from, mut to) = (BTreeMap::new(), BTreeMap::new());
    flatten("", &serde_json::to_value(one).unwrap_or_default(), &mut from);
    flatten("", &serde_json::to_value(other).unwrap_or_default(), &mut to);
    let mut fields: Vec<&String> = from.keys().chain(to.keys()).collect();
    fields.sort();
    fields.dedup();
    let changed = fields.into_iter().filter(|field| from.get(*field) != to.get(*field));
    let change = |field: &String| Change {
        field: field.clone(),
        from: from.get(field).cloned(),
        to: to.get(field).cloned(),
    };
    changed.map(change).collect()
}

/// Lists of words stay whole; lists of sections are taken apart.
fn flatten(path: &str, value: &Value, fields: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let path = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}.{name}")
                };
                flatten(&path, value, fields);
            }
        }
        Value::Array(sections) if sections.iter().any(Value::is_object) => {
            for (index, value) in sections.iter().enumerate() {
                flatten(&format!("{path}[{index}]"), value, fields);
            }
        }
        value => drop(fields.insert(path.to_owned(), value.to_string())),
    }
}
