//! How many records a second one core turns from message octets into NDJSON: the 23 elements of the v0.9 template,
//! remote names filled in from a directory of 1,000 Pods, derived fields and `_id` included; straight into the buffer,
//! as for Elasticsearch, and over a document, as for the embedded store. A second is one of the core's own: what other
//! programs take of it does not count.
//! `cargo run --release --workspace --example decode_rate [records]`.

mod sample;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use nix::time::{ClockId, clock_gettime};
use podflow_cluster::{Directory, Inventory};
use podflow_collector::document::names::Members;
use podflow_collector::document::shape::{Origin, Window};
use podflow_collector::document::unknown::UnknownNames;
use podflow_collector::document::{Builder, Drafted, Lined, json};
use podflow_ipfix::Limits;
use podflow_ipfix::collect::{CollectingSession, DataRecord, Transport};
use podflow_ipfix::registry::Registry;

fn main() -> Result<()> {
    let records: u64 = std::env::args().nth(1).map_or(Ok(3_000_000), |records| records.parse())?;
    let messages = messages()?;
    let mut builder = builder()?;
    let straight = measure("straight into the buffer", records, &messages, |origin, record, out| {
        let begin = |_, id, out: &mut Vec<u8>| action(out, id);
        matches!(builder.line(origin, record, out, begin), Lined::Written(_))
    })?;
    let over = measure("over a document", records / 4, &messages, |origin, record, out| {
        let Drafted::Ready(draft) = builder.draft(origin, record.fields()) else { return false };
        let (document, _) = builder.finish(draft);
        action(out, document.id);
        json::write(&document, out);
        true
    })?;
    println!("{:.1} times as fast", straight / over);
    Ok(())
}

fn action(out: &mut Vec<u8>, id: podflow_collector::document::model::DocumentId) {
    out.extend_from_slice(br#"{"create":{"_index":"flow-2026.11.22","_id":""#);
    out.extend_from_slice(&id.text());
    out.extend_from_slice(b"\"}}\n");
}

/// Decodes messages over and over; answers records a second.
fn measure(
    what: &str,
    records: u64,
    messages: &[Vec<u8>],
    mut write: impl FnMut(&Origin, &DataRecord<'_>, &mut Vec<u8>) -> bool,
) -> Result<f64> {
    let mut session = CollectingSession::new(
        Transport::Stream,
        Arc::new(Limits::default()),
        Arc::new(Registry::standard()),
    );
    let exporter = "172.18.0.2".parse()?;
    let mut out = Vec::with_capacity(6 << 20);
    let (mut done, mut refused, mut written) = (0_u64, 0_u64, 0);
    let began = processor_time()?;
    while done < records {
        for message in messages {
            session.receive(0, message, &mut |record| {
                let origin = Origin::of(&record, exporter, EXPORT_MS as i64, 0);
                if write(&origin, &record, &mut out) {
                    out.push(b'\n');
                    done += 1;
                } else {
                    refused += 1;
                }
            })?;
            if out.len() > 5_000_000 {
                written += out.len() as u64;
                out.clear();
            }
        }
        ensure!(refused == 0, "{refused} records were not written");
    }
    written += out.len() as u64;
    let rate = done as f64 / (processor_time()? - began).as_secs_f64();
    println!("{what}: {rate:.0} records a second on one core, {} octets of NDJSON each", written / done);
    Ok(rate)
}

/// What this thread has had of the processors.
fn processor_time() -> Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?.into())
}

fn builder() -> Result<Builder> {
    let directory = Arc::new(Directory::default());
    directory.replace(Inventory::parse(&sample::inventory())?, 0);
    let day = Duration::from_secs(86_400);
    let members = Members::new("", Vec::new());
    Ok(Builder::new(directory, members, Window { past: day, future: day }, Arc::new(UnknownNames::default())))
}

/// Messages of 1,400 octets, 10,000 records together.
fn messages() -> Result<Vec<Vec<u8>>> {
    let mut session = sample::session(true)?;
    for number in 0..10_000 {
        sample::add(&mut session, number, EXPORT_MS)?;
    }
    session.flush(EXPORT_MS);
    Ok(std::iter::from_fn(|| session.next_message()).map(|message| message.octets).collect())
}

/// 2026-11-22T20:00:00Z in milliseconds.
const EXPORT_MS: u64 = 1_795_377_600_000;
