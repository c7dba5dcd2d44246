//! The flows of the store's benchmark for other programs: `flows print N` writes N documents of one day as NDJSON, each
//! with its index and id; `flows serve PORT N` puts them into an embedded store and serves its `/es`, and ends with its
//! standard input.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a program for measurements")]
#![allow(clippy::indexing_slicing, reason = "a program for measurements")]

#[path = "../tests/store/flows.rs"]
mod flows;

use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use axum::Router;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flows::Flows;
use podflow_collector::document::json;
use podflow_collector::es;
use podflow_collector::store::{Options, Store};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["print", count] => print(day(count)?),
        ["serve", port, count] => serve(port.parse().context("PORT")?, day(count)?),
        _ => bail!("usage: flows print N | flows serve PORT N"),
    }
}

fn day(count: &str) -> Result<Flows> {
    Ok(Flows { count: count.parse().context("N")?, span: 86_400_000, holes: false })
}

fn print(flows: Flows) -> Result<()> {
    let mut output = std::io::BufWriter::new(std::io::stdout().lock());
    for number in 0..flows.count {
        let document = flows.document(number);
        let id = URL_SAFE_NO_PAD.encode(document.id.0);
        let mut source = Vec::new();
        json::write(&document, &mut source);
        let day = jiff::Timestamp::from_millisecond(document.timestamp)?.strftime("%Y.%m.%d");
        write!(output, r#"{{"_index":"flow-{day}","_id":"{id}","_source":"#)?;
        output.write_all(&source)?;
        output.write_all(b"}\n")?;
    }
    Ok(output.flush()?)
}

fn serve(port: u16, flows: Flows) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let store = Arc::new(Store::open(folder.path(), Options { keep: Duration::MAX, ..Options::default() })?);
    let (mut numbers, mut spent) = (0..flows.count, Duration::ZERO);
    while !numbers.is_empty() {
        let documents: Vec<_> = numbers.by_ref().take(50_000).map(|number| flows.document(number)).collect();
        let begun = Instant::now();
        let mut batch = store.batch();
        for document in &documents {
            batch.add(document);
        }
        store.commit(&mut batch)?;
        spent += begun.elapsed();
    }
    while store.merge_now() {}
    let router = Router::new().nest_service("/es", es::router(Arc::clone(&store)));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async move {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
        println!("{} octets, loaded in {} s", store.info().octets, spent.as_secs_f64());
        let serving = tokio::spawn(axum::serve(listener, router).into_future());
        tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
        serving.abort();
        Ok(())
    })
}
