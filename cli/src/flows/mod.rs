//! `podflow flows`: flow records of a collector or of Elasticsearch, in the terminal.

pub(crate) mod filter;

mod output;

use std::collections::{HashSet, VecDeque};
use std::io::IsTerminal;
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use crate::query::{Client, Server};
use filter::Filter;
use output::{Format, Printer};

/// What the user may choose.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    server: Server,

    #[command(flatten)]
    filter: Filter,

    /// Goes on with what comes in, until Ctrl-C.
    #[arg(long, short, conflicts_with = "until")]
    follow: bool,

    /// How many records, the newest: 1 to 10,000.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_RECORDS)))]
    limit: u32,

    /// How they are written.
    #[arg(long, short, value_enum, default_value_t)]
    output: Format,
}

/// Prints records, oldest first.
pub(crate) fn run(options: &Options) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match runtime.block_on(print(options)) {
        // Whoever reads, `head` for one, has seen enough.
        Err(error) if is_broken_pipe(&error) => Ok(()),
        done => done,
    }
}

async fn print(options: &Options) -> Result<()> {
    let (clauses, range) = (options.filter.clauses()?, options.filter.range()?);
    let client = Client::connect(&options.server).await?;
    let mut printer = Printer::new(options.output, std::io::stdout().lock());
    let mut seen = Seen::default();
    let newest = search(&client, &clauses, &range, "desc", options.limit).await?;
    let mut last = newest.first().and_then(time_of);
    for hit in newest.iter().rev() {
        seen.is_new(hit);
        printer.record(hit)?;
    }
    printer.pause()?;
    if newest.is_empty() && !options.follow && std::io::stderr().is_terminal() {
        eprintln!("no such flow records in this time; see --since");
    }
    if !options.follow {
        return Ok(());
    }
    loop {
        tokio::time::sleep(BETWEEN_QUESTIONS).await;
        // A record may be stored after a younger one, so the last seconds are looked at again.
        let range = match last {
            Some(last) => {
                json!({"range": {"@timestamp": {"gte": last - OVERLAP_MS, "format": "epoch_millis"}}})
            }
            None => range.clone(),
        };
        for hit in search(&client, &clauses, &range, "asc", MOST_RECORDS).await? {
            last = last.max(time_of(&hit));
            if seen.is_new(&hit) {
                printer.record(&hit)?;
            }
        }
        printer.pause()?;
    }
}

async fn search(
    client: &Client,
    clauses: &[Value],
    range: &Value,
    order: &str,
    size: u32,
) -> Result<Vec<Value>> {
    let filter: Vec<_> = clauses.iter().chain([range]).collect();
    let body = json!({
        "size": size,
        "track_total_hits": false,
        "sort": [{"@timestamp": {"order": order}}],
        "query": {"bool": {"filter": filter}},
    });
    let mut answer = client.search(&body).await?;
    match answer.pointer_mut("/hits/hits").map(Value::take) {
        Some(Value::Array(hits)) => Ok(hits),
        _ => anyhow::bail!("the answer has no hits: {answer}"),
    }
}

/// The record's `@timestamp` in milliseconds since 1970.
fn time_of(hit: &Value) -> Option<i64> {
    let text = hit.pointer("/_source/@timestamp")?.as_str()?;
    Some(text.parse::<jiff::Timestamp>().ok()?.as_millisecond())
}

/// The ids printed lately.
#[derive(Default)]
struct Seen {
    known: HashSet<String>,
    order: VecDeque<String>,
}

impl Seen {
    fn is_new(&mut self, hit: &Value) -> bool {
        let id = hit["_id"].as_str().unwrap_or_default().to_owned();
        if !self.known.insert(id.clone()) {
            return false;
        }
        self.order.push_back(id);
        if self.order.len() > MOST_REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    kind == Some(std::io::ErrorKind::BrokenPipe)
}

/// Stores give no more in one answer.
const MOST_RECORDS: u32 = 10_000;

/// Two full answers: more than the overlap can hold.
const MOST_REMEMBERED: usize = 20_000;

/// A record is searchable within two seconds of its arrival.
const BETWEEN_QUESTIONS: Duration = Duration::from_secs(2);

/// Batches, name waits and refreshes delay records by up to this, and differently.
const OVERLAP_MS: i64 = 15_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_printed_once_and_memory_is_bounded() {
        let mut seen = Seen::default();
        let hit = |id: usize| json!({"_id": id.to_string()});
        assert!(seen.is_new(&hit(0)) && !seen.is_new(&hit(0)));
        for id in 1..=MOST_REMEMBERED {
            assert!(seen.is_new(&hit(id)));
        }
        assert_eq!((seen.known.len(), seen.order.len()), (MOST_REMEMBERED, MOST_REMEMBERED));
        assert!(seen.is_new(&hit(0)), "the oldest was forgotten");
    }

    #[test]
    fn times_are_read() {
        let hit = json!({"_source": {"@timestamp": "2026-11-22T20:00:00.250Z"}});
        assert_eq!(time_of(&hit), Some(1_795_377_600_250));
        assert_eq!(time_of(&json!({})), None);
    }
}
