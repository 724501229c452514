//! One JSON object per log line, with the ids of the trace it belongs to.

use std::{error::Error, fmt};

use opentelemetry::{Context, trace::TraceContextExt};
use serde_json::{Map, Value};
use time::{OffsetDateTime, format_description::BorrowedFormatItem, macros::format_description};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

const TIMESTAMP: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");

/// A longer field is cut, so that one line stays one line everywhere.
const FIELD_BYTES_MAX: usize = 8 * 1024;

/// Names that the line itself uses; an event's own field of that name is written as `field.<name>`.
const RESERVED: [&str; 8] =
    ["timestamp", "level", "service", "instance", "target", "message", "trace_id", "span_id"];

/// The format: `timestamp`, `level`, `service`, `instance`, `target`, `message`, `trace_id` and `span_id` when
/// the request is sampled, then the event's fields by name.
pub(super) struct Line {
    pub(super) service: &'static str,
    pub(super) instance: String,
}

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let mut line = Map::new();
        let mut put = |name: &str, value: String| line.insert(name.to_owned(), Value::String(value));
        put("timestamp", OffsetDateTime::now_utc().format(TIMESTAMP).unwrap_or_default());
        put("level", event.metadata().level().as_str().to_ascii_lowercase());
        put("service", self.service.to_owned());
        put("instance", self.instance.clone());
        put("target", event.metadata().target().to_owned());
        put("message", fields.message);
        Context::map_current(|context| {
            let span = context.span();
            let span = span.span_context();
            if span.is_sampled() {
                put("trace_id", span.trace_id().to_string());
                put("span_id", span.span_id().to_string());
            }
        });
        line.extend(fields.others);
        let line = serde_json::to_string(&line).map_err(|_json| fmt::Error)?;
        writeln!(out, "{line}")
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    others: Map<String, Value>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        let name = field.name();
        let name = if RESERVED.contains(&name) { format!("field.{name}") } else { name.to_owned() };
        self.others.insert(name, value);
    }

    fn put_text(&mut self, field: &Field, mut text: String) {
        if text.len() > FIELD_BYTES_MAX {
            text.truncate(text.floor_char_boundary(FIELD_BYTES_MAX));
            text.push('…');
        }
        if field.name() == "message" {
            self.message = text;
        } else {
            self.put(field, Value::String(text));
        }
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put_text(field, value.to_owned());
    }

    fn record_error(&mut self, field: &Field, error: &(dyn Error + 'static)) {
        let mut chain = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            chain.push_str(": ");
            chain.push_str(&error.to_string());
            cause = error.source();
        }
        self.put_text(field, chain);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put_text(field, format!("{value:?}"));
    }
}
