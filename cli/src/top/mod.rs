//! `podflow top`: who moves most bytes now, refreshed in place.

mod table;

use std::collections::HashMap;
use std::io::{IsTerminal, Write};
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use crate::flows::filter::Filter;
use crate::query::{Client, Server};

/// What the user may choose.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// Who is ranked.
    #[arg(value_enum)]
    subject: Subject,

    #[command(flatten)]
    server: Server,

    #[command(flatten)]
    filter: Filter,

    /// The last so many seconds are summed; never less than the agents' export interval.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    window: u64,

    /// How many lines.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,

    /// Prints once and ends, as it does where stdout is no terminal.
    #[arg(long)]
    once: bool,
}

/// Who is ranked.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
enum Subject {
    /// Pods, Nodes and addresses, by what they sent and received.
    Pods,
    /// Pairs of them.
    Pairs,
    /// Services, by what their clients sent and received.
    Services,
    /// Nodes, by what their Pods and themselves sent and received.
    Nodes,
}

/// What somebody moved within the window, in octets.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Moved {
    sent: u64,
    received: u64,
}

/// Prints the table, again and again on a terminal.
pub(crate) fn run(options: &Options) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(rank(options))
}

async fn rank(options: &Options) -> Result<()> {
    let client = Client::connect(&options.server).await?;
    let interval = client.status.as_ref().and_then(|status| status["export_interval_seconds"].as_u64());
    let window = options.window.max(interval.unwrap_or_default());
    let again = !options.once && std::io::stdout().is_terminal();
    loop {
        let (ranked, total) = ask(options, &client, window).await?;
        let table = table::draw(options.subject.title(), &ranked, total, window);
        let mut out = std::io::stdout().lock();
        // Clears the screen and goes to its first line.
        let clear = if again { "\x1b[H\x1b[2J" } else { "" };
        match write!(out, "{clear}{table}").and_then(|()| out.flush()) {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(()),
            written => written?,
        }
        if !again {
            return Ok(());
        }
        tokio::time::sleep(BETWEEN_TABLES).await;
    }
}

/// The ranked names, biggest first, and what all flows together moved.
async fn ask(options: &Options, client: &Client, window: u64) -> Result<(Vec<(String, Moved)>, Moved)> {
    let mut filter = options.filter.clauses()?;
    filter.push(json!({"range": {"@timestamp": {"gte": format!("now-{window}s")}}}));
    let mut aggregations = sums();
    for (number, (field, _)) in options.subject.fields().iter().enumerate() {
        aggregations[number.to_string()] = json!({
            // Twice as many as shown: a name may be big on one side only.
            "terms": {"field": format!("ipfix.{field}.keyword"), "size": 2 * options.limit, "order": {"both": "desc"}},
            "aggs": sums(),
        });
    }
    let body = json!({"size": 0, "query": {"bool": {"filter": filter}}, "aggs": aggregations});
    let answer = client.search(&body).await?;
    Ok(merge(options.subject, &answer["aggregations"], options.limit))
}

fn sums() -> Value {
    let sum = |field: &str| json!({"sum": {"field": format!("ipfix.{field}")}});
    json!({"both": sum("bytes"), "sent": sum("octetDeltaCount"), "received": sum("reverseOctetDeltaCount")})
}

/// Who is both source and destination is one line: what came back to the one was sent by the other.
fn merge(subject: Subject, aggregations: &Value, limit: u32) -> (Vec<(String, Moved)>, Moved) {
    let mut all: HashMap<String, Moved> = HashMap::new();
    for (number, (_, side)) in subject.fields().iter().enumerate() {
        for bucket in aggregations[number.to_string()]["buckets"].as_array().into_iter().flatten() {
            let (name, flows) = (bucket["key"].as_str().unwrap_or_default(), moved(bucket));
            if name.is_empty() {
                continue;
            }
            let (sent, received) = match side {
                Side::Source => (flows.sent, flows.received),
                Side::Destination => (flows.received, flows.sent),
            };
            let own = all.entry(name.to_owned()).or_default();
            own.sent += sent;
            own.received += received;
        }
    }
    let mut ranked: Vec<_> = all.into_iter().collect();
    ranked.sort_by(|(one, left), (other, right)| {
        (right.sent + right.received).cmp(&(left.sent + left.received)).then_with(|| one.cmp(other))
    });
    ranked.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    (ranked, moved(aggregations))
}

fn moved(sums: &Value) -> Moved {
    // Sums are floating-point numbers in Elasticsearch's answers; no link moves 2^53 octets within a day.
    let octets = |name: &str| table::whole(sums[name]["value"].as_f64().unwrap_or_default());
    Moved { sent: octets("sent"), received: octets("received") }
}

enum Side {
    Source,
    Destination,
}

impl Subject {
    fn title(self) -> &'static str {
        match self {
            Self::Pods => "POD, NODE OR ADDRESS",
            Self::Pairs => "SOURCE → DESTINATION",
            Self::Services => "SERVICE",
            Self::Nodes => "NODE",
        }
    }

    fn fields(self) -> &'static [(&'static str, Side)] {
        match self {
            Self::Pods => &[("sourceName", Side::Source), ("destinationName", Side::Destination)],
            Self::Pairs => &[("podPair", Side::Source)],
            Self::Services => &[("destinationServicePortName", Side::Source)],
            Self::Nodes => &[("sourceNodeName", Side::Source), ("destinationNodeName", Side::Destination)],
        }
    }
}

/// Often enough to be live, seldom enough to cost nothing.
const BETWEEN_TABLES: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_of_a_name_are_one_line() {
        let bucket = |name: &str, sent: u64, received: u64| json!({"key": name, "sent": {"value": sent}, "received": {"value": received}});
        let answer = json!({
            "sent": {"value": 1100.0}, "received": {"value": 60.0},
            "0": {"buckets": [bucket("a", 1000, 50), bucket("b", 100, 10)]},
            "1": {"buckets": [bucket("b", 1000, 50), bucket("", 5, 5), bucket("c", 100, 10)]},
        });
        let (ranked, total) = merge(Subject::Pods, &answer, 2);
        assert_eq!(
            ranked,
            [
                ("b".to_owned(), Moved { sent: 150, received: 1010 }),
                ("a".to_owned(), Moved { sent: 1000, received: 50 }),
            ]
        );
        assert_eq!(total, Moved { sent: 1100, received: 60 });
    }
}
