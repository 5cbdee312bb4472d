//! What split and reduce tell the operator of what they did. The later steps' figures stand beside their accounts.

use serde_json::{Value, json};

use crate::{
    commits::{ReducedJob, SplitJob},
    messages::Requests,
    steps::Figures,
};

pub(crate) fn split(split: &SplitJob) -> Figures {
    let objects = || split.batches.values().flat_map(|batch| &batch.objects);
    figures(json!({
        "batches": split.batches.len(),
        "objects": objects().count(),
        "bytes": objects().map(|object| object.bytes).sum::<u64>(),
        "records": objects().map(|object| object.records).sum::<u64>(),
        "ranges": split.count,
    }))
}

pub(crate) fn reduced(reduced: &ReducedJob) -> Figures {
    figures(json!({
        "ranges": reduced.ranges,
        "records": reduced.totals_in.records(),
        "rejected": reduced.rejected_by_rule,
        "events": reduced.totals_out.records(),
        "partitions": reduced.count,
        "bytes_written": reduced.bytes_written,
    }))
}

/// Of prefetch's figures those that are metrics.
pub(crate) fn requests(figures: &Figures) -> Requests {
    let figure = |name| figures.get(name).and_then(Value::as_u64).unwrap_or_default();
    Requests {
        prefetched_artifacts: figure("keys"),
        prefetch_lookups: figure("lookups"),
        prefetch_cache_calls: figure("cache_calls"),
        prefetch_reads: figure("reads"),
    }
}

/// Figures by name.
pub(crate) fn figures(figures: Value) -> Figures {
    match figures {
        Value::Object(figures) => figures,
        _ => Figures::new(),
    }
}
