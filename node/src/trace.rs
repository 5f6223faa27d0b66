//! W3C Trace Context (<https://www.w3.org/TR/trace-context-1/>) in gRPC metadata: which request led to which.

use overlap_audit::Entry;
use tonic::metadata::{MetadataMap, MetadataValue};

use crate::error::NodeError;

const HEADER: &str = "traceparent";

/// Where a request stands: the trace, and the step of the caller's that led to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TraceContext {
    /// 32 hexadecimal digits.
    pub(crate) trace: String,
    /// 16 hexadecimal digits.
    pub(crate) parent: String,
}

impl TraceContext {
    /// The context that came with a request; none if it has none, or one that is not in the form.
    pub(crate) fn of(metadata: &MetadataMap) -> Option<Self> {
        Self::parse(metadata.get(HEADER)?.to_str().ok()?)
    }

    fn parse(header: &str) -> Option<Self> {
        let mut parts = header.split('-');
        let (version, trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let is_hex = |text: &str, length: usize| {
            text.len() == length
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
        };
        let is_id = |text: &str, length| is_hex(text, length) && text.bytes().any(|byte| byte != b'0');
        // later versions may have more parts, version 00 has not; ff is none
        let fits = is_hex(version, 2) && version != "ff" && (version != "00" || parts.next().is_none());
        (fits && is_id(trace, 32) && is_id(parent, 16) && is_hex(flags, 2)).then(|| Self {
            trace: trace.to_owned(),
            parent: parent.to_owned(),
        })
    }

    /// Writes the context into an entry that is about to be opened. A query without one begins a trace, called like its transaction.
    pub(crate) fn enter(context: Option<Self>, entry: &mut Entry) {
        match context {
            Some(Self { trace, parent }) => (entry.trace, entry.parent_span) = (Some(trace), Some(parent)),
            None => entry.trace = Some(entry.transaction.simple().to_string()),
        }
    }

    /// Tells the peer of a query where it stands.
    pub(crate) fn send(entry: &Entry, metadata: &mut MetadataMap) -> Result<(), NodeError> {
        if let Some(trace) = &entry.trace {
            let header = format!("00-{trace}-{}-01", overlap_audit::span_id(entry.id));
            let value = MetadataValue::try_from(header).map_err(|_| NodeError::Broken("a trace id is no text"))?;
            metadata.insert(HEADER, value);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of W3C Trace Context section 3.2.4, and what it says is invalid.
    #[test]
    fn headers_of_the_standard() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let context = TraceContext::parse(good).unwrap();
        assert_eq!(context.trace, "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(context.parent, "00f067aa0ba902b7");
        assert!(TraceContext::parse("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more").is_some());
        for bad in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceContext::parse(bad), None, "{bad}");
        }
    }
}
