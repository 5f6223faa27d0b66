//! Entries in the form of the Dutch standard Logboek Dataverwerkingen 1.0 (Logius), section 3.2.2: who processed what, and why, without who
//! the user was.

use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::{Logged, Outcome, Side};

/// Which processing activities of the register an agency's queries are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Activities {
    /// URI of the activity that everything is which has none of its own.
    pub default: String,
    /// URI by purpose.
    pub by_purpose: std::collections::BTreeMap<String, String>,
}

/// One log line of the standard.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LdvRecord {
    /// 32 hexadecimal digits.
    pub trace_id: String,
    /// 16 hexadecimal digits.
    pub span_id: String,
    /// What the processing is called.
    pub name: String,
    /// How it went.
    pub status: LdvStatus,
    /// Milliseconds since 1970.
    pub start_time: i64,
    /// Milliseconds since 1970.
    pub end_time: i64,
    /// The step that led to it, at the agency that asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_span_id: Option<String>,
    /// The application.
    pub resource: LdvResource,
    /// `dpl.core.*` of the standard, and `dpl.overlap.*`.
    pub attributes: Map<String, Value>,
}

/// How a processing went, as the standard has it: a refusal is no error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum LdvStatus {
    /// Without a fault.
    Unset,
    /// With a fault.
    Error,
}

/// The application that a line comes from.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LdvResource {
    /// `service.name`, `service.version` and `service.instance.id`.
    pub attributes: Map<String, Value>,
}

/// The id of an entry's step in its trace: the last 8 bytes of its id, which are random. The same each time it is told.
pub fn span_id(entry: Uuid) -> String {
    let (_, last) = entry.as_bytes().split_at(8);
    hex::encode(last)
}

impl LdvRecord {
    /// An entry that has ended. Person, role, approver, reason and case reference stay out of it.
    pub fn of(logged: &Logged, agency: &str, activities: &Activities) -> Self {
        let entry = &logged.entry;
        let ended = logged.closing.as_ref().map_or(entry.started, |closing| closing.ended);
        let mut attributes = Map::new();
        let mut put = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                attributes.insert(key.to_owned(), value);
            }
        };
        let activity = entry
            .purpose
            .as_ref()
            .and_then(|purpose| activities.by_purpose.get(purpose))
            .unwrap_or(&activities.default);
        let text = |text: &Option<String>| text.clone().map(Value::String);
        put("dpl.core.processing_activity_id", Some(activity.as_str().into()));
        if entry.side == Side::Holder && entry.parent_span.is_some() {
            put("dpl.core.foreign_operation.processor", text(&entry.asker));
        }
        put("dpl.overlap.transaction", Some(entry.transaction.to_string().into()));
        put("dpl.overlap.entry", Some(entry.id.to_string().into()));
        put("dpl.overlap.operation", Some(entry.operation.name().into()));
        put("dpl.overlap.side", Some(entry.side.name().into()));
        put("dpl.overlap.outcome", Some(logged.outcome().name().into()));
        put("dpl.overlap.purpose", text(&entry.purpose));
        put("dpl.overlap.regime", text(&entry.regime));
        put("dpl.overlap.article", text(&entry.article));
        put("dpl.overlap.asker", text(&entry.asker));
        put("dpl.overlap.holder", text(&entry.holder));
        put("dpl.overlap.dataset", text(&entry.dataset));
        put("dpl.overlap.dataset_version", entry.dataset_version.map(Value::from));
        put("dpl.overlap.mode", text(&entry.mode));
        put(
            "dpl.overlap.kinds",
            (!entry.kinds.is_empty()).then(|| entry.kinds.join(",").into()),
        );
        put("dpl.overlap.input_count", entry.input_count.map(Value::from));
        let output = logged.closing.as_ref().and_then(|closing| closing.output_count);
        put("dpl.overlap.output_count", output.map(Value::from));
        put("dpl.overlap.agreement", text(&entry.agreement));
        put(
            "dpl.overlap.agreement_hash",
            entry.agreement_hash.map(|hash| hash.to_string().into()),
        );
        let mut resource = Map::new();
        let (name, version) = entry.software.split_once('/').unwrap_or((&entry.software, ""));
        resource.insert("service.name".to_owned(), name.into());
        resource.insert("service.version".to_owned(), version.into());
        resource.insert("service.instance.id".to_owned(), agency.into());
        Self {
            trace_id: entry
                .trace
                .clone()
                .unwrap_or_else(|| entry.transaction.simple().to_string()),
            span_id: span_id(entry.id),
            name: name_of(logged),
            status: match logged.outcome() {
                Outcome::Error | Outcome::Interrupted => LdvStatus::Error,
                _ => LdvStatus::Unset,
            },
            start_time: entry.started.as_millisecond(),
            end_time: ended.max(entry.started).as_millisecond(),
            parent_span_id: entry.parent_span.clone(),
            resource: LdvResource { attributes: resource },
            attributes,
        }
    }
}

fn name_of(logged: &Logged) -> String {
    let entry = &logged.entry;
    match entry.mode.as_ref().filter(|_| entry.purpose.is_some()) {
        Some(mode) => format!("match {mode} ({})", entry.side),
        None if entry.side == Side::Witness => "alarm about a log".to_owned(),
        None => format!("{} of own data", entry.operation),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Closing, Entry};

    fn logged() -> Logged {
        let entry: Entry = serde_json::from_str(
            r#"{"id":"01a20969-6507-75e8-bdae-97089b24ccbc","transaction":"01a20969-6507-75e8-bdae-97079c93be74",
            "trace":"4bf92f3577b34da6a3ce929d0e0e4736","parent_span":"00f067aa0ba902b7","started":"2026-01-01T00:00:00Z",
            "operation":"combination","side":"holder","purpose":"thb-investigation","person":"spiffe://CANARY","role":"CANARY",
            "reason":"CANARY","case_reference":"CANARY","approver":"CANARY","asker":"spiffe://a/politie","holder":"spiffe://a/kmar",
            "recipients":[],"kinds":["phone"],"mode":"hits","visibility":[],"software":"overlap/0.1.0"}"#,
        )
        .unwrap();
        let closing: Closing = serde_json::from_str(
            r#"{"id":"01a20969-6507-75e8-bdae-97089b24ccbc","ended":"2026-01-01T00:00:01.5Z","outcome":"done","output_count":7,"detail":"CANARY"}"#,
        )
        .unwrap();
        Logged {
            index: 4,
            entry,
            closing: Some(closing),
        }
    }

    #[test]
    fn an_entry_becomes_a_line_of_the_standard() {
        let mut activities = Activities {
            default: "https://register.example/0".into(),
            ..Activities::default()
        };
        let purpose = ("thb-investigation".to_owned(), "https://register.example/7".to_owned());
        activities.by_purpose.extend([purpose]);
        let record = LdvRecord::of(&logged(), "spiffe://a/kmar", &activities);
        assert_eq!(record.trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(record.span_id, "bdae97089b24ccbc");
        assert_eq!(record.parent_span_id.as_deref(), Some("00f067aa0ba902b7"));
        assert_eq!(record.end_time - record.start_time, 1500);
        assert_eq!(record.status, LdvStatus::Unset);
        let attribute = |key: &str| record.attributes.get(key).and_then(Value::as_str).unwrap();
        assert_eq!(
            attribute("dpl.core.processing_activity_id"),
            "https://register.example/7"
        );
        assert_eq!(attribute("dpl.core.foreign_operation.processor"), "spiffe://a/politie");
        assert_eq!(record.attributes.get("dpl.overlap.output_count"), Some(&7.into()));
        let json = serde_json::to_string(&record).unwrap();
        assert!(!json.contains("CANARY"), "{json}");
    }
}
