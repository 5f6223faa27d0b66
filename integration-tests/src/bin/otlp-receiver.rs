//! An OTLP receiver that keeps what it gets: `otlp-receiver ADDRESS FILE [REFUSE [REJECT]]`.
//!
//! The first REFUSE requests fail; of the next REJECT ones it says that it rejected a span. A span that it takes is a line of FILE, on disk
//! before the answer.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

use std::{
    fs::{File, OpenOptions},
    io::Write,
    sync::Mutex,
};

use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::{KeyValue, any_value},
    trace::v1::Span,
};
use serde_json::{Map, Value, json};
use tonic::{Request, Response, Status, transport::Server};

struct Receiver {
    file: Mutex<File>,
    refuse: Mutex<u32>,
    reject: Mutex<u32>,
}

fn takes(count: &Mutex<u32>) -> bool {
    let mut left = count.lock().unwrap();
    let any = *left > 0;
    *left = left.saturating_sub(1);
    any
}

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        if takes(&self.refuse) {
            return Err(Status::unavailable("not now"));
        }
        if takes(&self.reject) {
            let partial_success = Some(ExportTracePartialSuccess {
                rejected_spans: 1,
                error_message: "not this one".to_owned(),
            });
            return Ok(Response::new(ExportTraceServiceResponse { partial_success }));
        }
        let mut file = self.file.lock().unwrap();
        for spans in request.into_inner().resource_spans {
            let resource = attributes(spans.resource.unwrap_or_default().attributes);
            for span in spans.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                writeln!(file, "{}", line(span, &resource)).unwrap();
            }
        }
        file.sync_all().unwrap();
        Ok(Response::new(ExportTraceServiceResponse { partial_success: None }))
    }
}

fn line(span: Span, resource: &Map<String, Value>) -> Value {
    json!({
        "trace": hex::encode(span.trace_id),
        "span": hex::encode(span.span_id),
        "parent": hex::encode(span.parent_span_id),
        "name": span.name,
        "nanoseconds": span.end_time_unix_nano - span.start_time_unix_nano,
        "status": span.status.map(|status| status.code),
        "attributes": attributes(span.attributes),
        "resource": resource,
    })
}

fn attributes(attributes: Vec<KeyValue>) -> Map<String, Value> {
    let value = |of: KeyValue| match of.value.and_then(|value| value.value) {
        Some(any_value::Value::StringValue(text)) => text.into(),
        Some(any_value::Value::IntValue(number)) => number.into(),
        _ => Value::Null,
    };
    attributes.into_iter().map(|of| (of.key.clone(), value(of))).collect()
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |at: usize| Mutex::new(arguments.get(at).map_or(0, |text| text.parse().unwrap()));
    let receiver = Receiver {
        file: Mutex::new(
            OpenOptions::new()
                .create(true)
                .append(true)
                .open(&arguments[2])
                .unwrap(),
        ),
        refuse: number(3),
        reject: number(4),
    };
    let address = arguments[1].parse().unwrap();
    Server::builder()
        .add_service(TraceServiceServer::new(receiver))
        .serve(address)
        .await
        .unwrap();
}
