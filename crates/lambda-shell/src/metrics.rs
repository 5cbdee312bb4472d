//! The metrics record: one JSON line in CloudWatch's embedded metric format, which the log service turns into metrics.
//!
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use lambda_runtime::Diagnostic;
use serde_json::{Map, Value, json};

const NAMESPACE: &str = "tieout";

/// What one record says.
///
/// Its metrics are `duration_ms`, `errors` and `cold_start` (0 or 1), and every number at the top of the reply: what a
/// function tells its state machine is what a dashboard wants to know of it. Dimensions: the function; of a failure also
/// the function with the error class; of a reply that names an `engine` also the function with that.
pub(crate) struct Invocation<'a> {
    pub(crate) function: &'a str,
    pub(crate) request_id: &'a str,
    pub(crate) duration: Duration,
    pub(crate) cold_start: bool,
    pub(crate) answer: &'a Result<Value, Diagnostic>,
}

impl Invocation<'_> {
    fn figures(&self) -> Map<String, Value> {
        let reply = self.answer.as_ref().ok().and_then(Value::as_object).into_iter().flatten();
        let own = [
            ("duration_ms", json!(self.duration.as_millis())),
            ("errors", json!(u8::from(self.answer.is_err()))),
            ("cold_start", json!(u8::from(self.cold_start))),
        ];
        let reply = reply.filter(|(_, value)| value.is_number()).map(|(name, value)| (name.clone(), value.clone()));
        reply.chain(own.map(|(name, value)| (name.to_owned(), value))).collect()
    }
}

impl fmt::Display for Invocation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut record = self.figures();
        let metrics: Vec<_> = record.keys().map(|name| json!({"Name": name, "Unit": unit(name)})).collect();
        let mut dimensions = vec![vec!["function"]];
        let mut label = |name: &str, value: Value| record.insert(name.to_owned(), value);
        label("function", json!(self.function));
        label("request_id", json!(self.request_id));
        if let Err(failure) = self.answer {
            dimensions.push(vec!["function", "error_class"]);
            label("error_class", json!(failure.error_type));
        }
        if let Some(engine) = self.answer.as_ref().ok().and_then(|reply| reply.get("engine")?.as_str()) {
            dimensions.push(vec!["function", "engine"]);
            label("engine", json!(engine));
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let directive = json!({"Namespace": NAMESPACE, "Dimensions": dimensions, "Metrics": metrics});
        label("_aws", json!({"Timestamp": now.as_millis(), "CloudWatchMetrics": [directive]}));
        write!(f, "{}", Value::Object(record))
    }
}

/// CloudWatch's unit of a figure: units stand last in names.
fn unit(name: &str) -> &'static str {
    match name.rsplit('_').next() {
        Some("ms" | "milliseconds") => "Milliseconds",
        Some("seconds") => "Seconds",
        Some("bytes") => "Bytes",
        _ => "Count",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(answer: Result<Value, Diagnostic>) -> Value {
        let duration = Duration::from_millis(1_234);
        let record =
            Invocation { function: "tieout-merger", request_id: "r", duration, cold_start: true, answer: &answer };
        let line = record.to_string();
        assert!(!line.contains('\n'), "{line}");
        serde_json::from_str(&line).unwrap()
    }

    /// What a record must be for CloudWatch to take it: see the specification's JSON schema.
    fn directive(record: &Value) -> &Value {
        let millis = record["_aws"]["Timestamp"].as_u64().unwrap();
        assert!(millis > 1_700_000_000_000, "milliseconds since 1970: {millis}");
        let directive = &record["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(directive["Namespace"], "tieout");
        for name in directive["Dimensions"].as_array().unwrap().iter().flat_map(|set| set.as_array().unwrap()) {
            assert!(record[name.as_str().unwrap()].is_string(), "dimension {name} is a text in {record}");
        }
        for metric in directive["Metrics"].as_array().unwrap() {
            assert!(record[metric["Name"].as_str().unwrap()].is_number(), "{metric} is a number in {record}");
        }
        directive
    }

    #[test]
    fn numbers_of_the_reply_are_metrics_in_their_units() {
        let record = record(Ok(json!({"chunks": 3, "input_bytes": 70, "bucket": "work", "list": [1]})));
        let directive = directive(&record);
        assert_eq!(directive["Dimensions"], json!([["function"]]));
        assert_eq!(
            directive["Metrics"],
            json!([
                {"Name": "chunks", "Unit": "Count"},
                {"Name": "input_bytes", "Unit": "Bytes"},
                {"Name": "duration_ms", "Unit": "Milliseconds"},
                {"Name": "errors", "Unit": "Count"},
                {"Name": "cold_start", "Unit": "Count"},
            ])
        );
        assert_eq!((&record["input_bytes"], &record["duration_ms"]), (&json!(70), &json!(1_234)));
    }

    #[test]
    fn figures_come_apart_by_engine() {
        let record = record(Ok(json!({"engine": "spark", "milliseconds": 9, "cost_microdollars": 4})));
        let directive = directive(&record);
        assert_eq!(directive["Dimensions"], json!([["function"], ["function", "engine"]]));
        assert_eq!(directive["Metrics"][0], json!({"Name": "milliseconds", "Unit": "Milliseconds"}));
        assert_eq!((&record["engine"], &record["cost_microdollars"]), (&json!("spark"), &json!(4)));
    }

    #[test]
    fn a_failure_counts_under_its_class_too() {
        let failure = Diagnostic { error_type: "Throttled".into(), error_message: "slow down".into() };
        let record = record(Err(failure));
        assert_eq!(directive(&record)["Dimensions"], json!([["function"], ["function", "error_class"]]));
        assert_eq!((&record["error_class"], &record["errors"]), (&json!("Throttled"), &json!(1)));
    }

    #[test]
    fn a_reply_cannot_overwrite_the_figures_of_the_shell() {
        let record = record(Ok(json!({"errors": 7, "duration_ms": 0})));
        directive(&record);
        assert_eq!((&record["errors"], &record["duration_ms"]), (&json!(0), &json!(1_234)));
    }
}
