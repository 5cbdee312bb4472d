//! `tieout feed`.

use std::fs;

use intake::feed::{ChunkSize, Feed};
use report::text;
use serde::Serialize;

use crate::{
    args::FeedCommand,
    error::Failure,
    installation::Installation,
    output::{Output, columns, json},
};

pub(crate) async fn perform(command: FeedCommand, at: &Installation, output: Output) -> Result<(), Failure> {
    match command {
        FeedCommand::Put { file } => {
            let descriptor = fs::read_to_string(&file).map_err(|error| Failure::file(&file, &error))?;
            let feed = Feed::from_json(&descriptor)
                .map_err(|error| Failure::misuse(format!("{}: {}", file.display(), error_class::chain(&error))))?;
            at.feeds().put(&at.tenant, &feed).await?;
            let name = feed.resource.name.as_deref().unwrap_or_default();
            output.tell(&InForce { feed: name }, |InForce { feed }| {
                format!("feed {feed} is in force: tieout submit {feed} <file>\n")
            })
        }
        FeedCommand::List => {
            let feeds = at.feeds().list(&at.tenant).await?;
            output.tell(&feeds, |feeds| list(feeds))
        }
        FeedCommand::Show { feed } => {
            let found = at.feeds().get(&at.tenant, &feed).await?.ok_or_else(|| unknown(&feed))?;
            if output.json {
                return json(&found);
            }
            let pretty = serde_json::to_string_pretty(&found).map_err(|error| Failure::Service(error.to_string()))?;
            crate::output::print(&(pretty + "\n"))
        }
    }
}

#[derive(Serialize)]
struct InForce<'a> {
    feed: &'a str,
}

/// There is no such feed.
pub(crate) fn unknown(feed: &str) -> Failure {
    Failure::misuse(format!(
        "there is no feed {feed}: `tieout feed list` shows those there are, `tieout feed put <descriptor.json>` makes one"
    ))
}

fn list(feeds: &[Feed]) -> String {
    if feeds.is_empty() {
        return "no feeds yet: tieout feed put <descriptor.json>\n".to_owned();
    }
    let header = ["feed", "columns", "chunk", "enriched from", "amounts"].map(str::to_owned).to_vec();
    let rows = feeds.iter().map(|feed| {
        let schema = feed.resource.schema.as_ref();
        let chunk = match feed.tieout.chunk {
            ChunkSize::Bytes(bytes) => text::bytes(bytes),
            ChunkSize::Records(records) => text::records(records),
        };
        let amounts: Vec<_> = feed.tieout.amounts.iter().map(|amount| text::visible(&amount.column, 40)).collect();
        vec![
            feed.resource.name.clone().unwrap_or_default(),
            schema.map_or_else(|| "any".to_owned(), |schema| schema.fields.len().to_string()),
            chunk,
            feed.tieout.enrichment.as_ref().map(|enrichment| enrichment.table.clone()).unwrap_or_default(),
            amounts.join(", "),
        ]
    });
    columns(&std::iter::once(header).chain(rows).collect::<Vec<_>>(), &[1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn feeds_are_listed_with_what_tells_them_apart() {
        let feed = Feed::from_json(
            r#"{"name": "orders", "schema": {"fields": [{"name": "id", "type": "string"}, {"name": "net", "type": "number"}]},
                "tieout": {"amounts": [{"column": "net", "currency": "EUR"}], "chunk": {"records": 2000}}}"#,
        )
        .unwrap();
        let text = list(&[feed, Feed::undescribed(b',', 1)]);
        let lines: Vec<_> = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(
            lines,
            ["feed columns chunk enriched from amounts", "orders 2 2,000 records net", "default any 1 record"]
        );
        assert!(list(&[]).contains("feed put"));
    }
}
