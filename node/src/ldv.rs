//! Handing ended entries on to an agency's Logboek Dataverwerkingen, over OTLP (gRPC).
//!
//! The outbox is in the store, written with each entry's end. What the receiver acknowledged is taken out; everything else is sent again, with
//! the same ids, so a line may arrive twice and none is lost. Nothing is sampled.

use std::{sync::Arc, time::Duration};

use opentelemetry_proto::tonic::{
    collector::trace::v1::{ExportTraceServiceRequest, trace_service_client::TraceServiceClient},
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span::SpanKind, status::StatusCode},
};
use overlap_audit::{LdvRecord, LdvStatus};
use overlap_store::StoreError;
use serde_json::{Map, Value};
use tokio::time::{sleep, timeout};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

use crate::{config::Ldv, error::NodeError, node::Node, pool::blocking};

/// Entries sent together.
const TOGETHER: usize = 256;
/// How long an empty outbox is left alone.
const PAUSE: Duration = Duration::from_millis(500);
/// The longest wait after a failure.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Hands on until the node drains.
pub(crate) async fn run(node: Arc<Node>) {
    let Some(ldv) = &node.config.ldv else {
        return;
    };
    let mut failures = 0u32;
    let mut channel = None;
    // behind what the receiver rejected last; from the start again once the end was reached
    let mut from = 0;
    loop {
        let wait = match send(&node, ldv, &mut channel, from).await {
            Ok(next) => {
                failures = 0;
                from = next.unwrap_or_default();
                if next.is_none() { PAUSE } else { Duration::ZERO }
            }
            Err(why) => {
                channel = None;
                failures = failures.saturating_add(1);
                tracing::warn!(%why, failures, "entries could not be handed on");
                Duration::from_millis(250)
                    .saturating_mul(1 << failures.min(10))
                    .min(LONGEST_WAIT)
            }
        };
        tokio::select! {
            () = node.draining.cancelled() => return,
            () = sleep(wait) => {}
        }
    }
}

/// Sends entries of the outbox from a place on; returns the place after them, or none if there were no more.
async fn send(node: &Arc<Node>, ldv: &Ldv, channel: &mut Option<Channel>, from: u64) -> Result<Option<u64>, String> {
    let store = Arc::clone(&node.store);
    let waiting = blocking(move || store.log().outbox(from, TOGETHER)).await;
    let waiting = waiting
        .and_then(|waiting| Ok(waiting?))
        .map_err(|error| error.to_string())?;
    let Some(next) = waiting.last().map(|(place, _)| place + 1) else {
        return Ok(None);
    };
    let (mut places, mut gone, mut records) = (Vec::new(), Vec::new(), Vec::new());
    for (place, logged) in waiting {
        match logged {
            Err(StoreError::Shredded) => {
                tracing::error!(place, "an entry was shredded before it could be handed on");
                gone.push(place);
            }
            // it stays: the check of the log says what is wrong with it
            Err(error) => tracing::error!(place, %error, "an entry cannot be handed on"),
            Ok(logged) => {
                places.push(place);
                records.push(LdvRecord::of(&logged, &node.config.id, &ldv.activities));
            }
        }
    }
    let mut acknowledged = gone;
    if !records.is_empty() {
        let open = match channel {
            Some(open) => open.clone(),
            None => channel.insert(connect(node, ldv).await?).clone(),
        };
        acknowledged.extend(deliver(node, open, &places, records).await?);
    }
    let store = Arc::clone(&node.store);
    let taken = blocking(move || store.log().handed_on(&acknowledged)).await;
    taken
        .and_then(|taken| Ok(taken?))
        .map_err(|error: NodeError| error.to_string())?;
    Ok(Some(next))
}

/// Delivers records; returns the places of those that the receiver took. It tells how many it rejected, not which: then they go one by one,
/// and one that is refused by itself stays in the outbox.
async fn deliver(node: &Node, channel: Channel, places: &[u64], records: Vec<LdvRecord>) -> Result<Vec<u64>, String> {
    if export(node, channel.clone(), records.clone()).await?.is_none() {
        return Ok(places.to_vec());
    }
    let mut taken = Vec::new();
    let mut rejected = None;
    for (place, record) in places.iter().zip(records) {
        match export(node, channel.clone(), vec![record]).await? {
            None => taken.push(*place),
            Some(why) => rejected = Some(why),
        }
    }
    match rejected {
        Some(why) if taken.is_empty() => Err(format!("the receiver rejected every entry: {why}")),
        Some(why) => {
            tracing::warn!(%why, "the receiver rejected an entry; it is sent again");
            Ok(taken)
        }
        None => Ok(taken),
    }
}

/// One request; none if all of it was taken, or why not.
async fn export(node: &Node, channel: Channel, records: Vec<LdvRecord>) -> Result<Option<String>, String> {
    let request = ExportTraceServiceRequest {
        resource_spans: resource_spans(records),
    };
    let mut client = TraceServiceClient::new(channel);
    let answer = timeout(node.config.limits.idle_stream, client.export(request)).await;
    let answer = answer.map_err(|_| "the receiver was silent (limit idle_stream)".to_owned())?;
    let answer = answer.map_err(|status| format!("{:?}: {}", status.code(), overlap_proto::plain(status.message())))?;
    let partial = answer.into_inner().partial_success;
    let rejected = partial.filter(|partial| partial.rejected_spans > 0);
    Ok(rejected.map(|partial| overlap_proto::plain(&partial.error_message)))
}

async fn connect(node: &Node, ldv: &Ldv) -> Result<Channel, String> {
    let mut endpoint = Endpoint::from(ldv.endpoint.clone()).connect_timeout(node.config.limits.connect);
    if let Some(ca) = &ldv.ca {
        let pem = crate::files::read(ca).map_err(|error| error.to_string())?;
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem));
        endpoint = endpoint.tls_config(tls).map_err(|error| error.to_string())?;
    }
    endpoint
        .connect()
        .await
        .map_err(|error| format!("the receiver cannot be reached: {}", crate::dial::cause(&error)))
}

/// Records with one resource stand together.
fn resource_spans(records: Vec<LdvRecord>) -> Vec<ResourceSpans> {
    let mut groups: Vec<(Map<String, Value>, Vec<Span>)> = Vec::new();
    for record in records {
        let resource = record.resource.attributes.clone();
        let span = span(record);
        match groups.iter_mut().find(|(known, _)| *known == resource) {
            Some((_, spans)) => spans.push(span),
            None => groups.push((resource, vec![span])),
        }
    }
    let group = |(resource, spans): (Map<String, Value>, Vec<Span>)| ResourceSpans {
        resource: Some(Resource {
            attributes: attributes(resource),
            ..Resource::default()
        }),
        scope_spans: vec![ScopeSpans {
            scope: Some(InstrumentationScope {
                name: "overlap/log".to_owned(),
                ..InstrumentationScope::default()
            }),
            spans,
            ..ScopeSpans::default()
        }],
        ..ResourceSpans::default()
    };
    groups.into_iter().map(group).collect()
}

fn span(record: LdvRecord) -> Span {
    const NANOS: u64 = 1_000_000;
    let nanos = |millis: i64| u64::try_from(millis).unwrap_or_default().saturating_mul(NANOS);
    let id = |hex: &str| hex::decode(hex).unwrap_or_default();
    Span {
        trace_id: id(&record.trace_id),
        span_id: id(&record.span_id),
        parent_span_id: record.parent_span_id.as_deref().map(id).unwrap_or_default(),
        name: record.name,
        kind: SpanKind::Internal.into(),
        start_time_unix_nano: nanos(record.start_time),
        end_time_unix_nano: nanos(record.end_time),
        attributes: attributes(record.attributes),
        status: Some(Status {
            code: match record.status {
                LdvStatus::Unset => StatusCode::Unset,
                LdvStatus::Error => StatusCode::Error,
            }
            .into(),
            ..Status::default()
        }),
        ..Span::default()
    }
}

fn attributes(attributes: Map<String, Value>) -> Vec<KeyValue> {
    let value = |value: Value| match value {
        Value::Number(number) => any_value::Value::IntValue(number.as_i64().unwrap_or(i64::MAX)),
        Value::String(text) => any_value::Value::StringValue(text),
        other => any_value::Value::StringValue(other.to_string()),
    };
    attributes
        .into_iter()
        .map(|(key, of)| KeyValue {
            key,
            value: Some(AnyValue { value: Some(value(of)) }),
            ..KeyValue::default()
        })
        .collect()
}
