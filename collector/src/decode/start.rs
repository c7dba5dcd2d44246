//! The decoders' threads: as many as there are processors, so that decoding never waits for the page, nor the page
//! for decoding.

use std::sync::Arc;

use anyhow::{Context, Result};
use tokio::sync::{mpsc, oneshot};

use podflow_cluster::Directory;
use podflow_ipfix::Limits;

use crate::account::Account;
use crate::config::Config;
use crate::document::Builder;
use crate::document::names::Members;
use crate::document::shape::Window;
use crate::document::unknown::UnknownNames;
use crate::live::Tap;
use crate::receive::bad_input::BadInput;
use crate::receive::{Decoders, Queue};
use crate::sink::{Batch, Batches, Sink};

use super::{Assembler, AssemblerSettings, Decoder, DecoderParts, Exporters, TemplateFiles};

/// What all decoders share.
pub(crate) struct Shared {
    pub(crate) directory: Arc<Directory>,
    pub(crate) sink: Sink,
    pub(crate) exporters: Exporters,
    pub(crate) account: Account,
    pub(crate) bad_input: BadInput,
    pub(crate) tap: Tap,
}

/// Threads that decode.
pub(crate) struct DecoderThreads(Vec<oneshot::Receiver<()>>);

impl DecoderThreads {
    /// Waits until every decoder has handed on what it had.
    pub(crate) async fn wait(self) {
        for ended in self.0 {
            // A sender that is dropped has ended as well.
            ended.await.unwrap_or_default();
        }
    }
}

/// Starts the decoders.
///
/// # Errors
/// When a definition file cannot be used, or a thread not be started.
pub(crate) fn start(
    config: &Config,
    shared: &Shared,
    batch_queue: &mpsc::Sender<Batch>,
) -> Result<(Decoders, DecoderThreads)> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MOST_DECODERS);
    let registry = Arc::new(crate::definitions::registry(&config.definitions)?);
    let udp_sessions = config.listen.sessions.div_ceil(threads);
    let limits = Arc::new(Limits { udp_sessions, ..config.limits.clone() });
    let unknown = Arc::new(UnknownNames::default());
    let window =
        Window { past: config.documents.export_time_past, future: config.documents.export_time_future };
    let batches = Batches::new(shared.sink.clone(), config, shared.tap.clone());
    let settings = AssemblerSettings {
        wait: config.cluster.name_wait,
        records: config.cluster.name_wait_records.div_ceil(threads),
    };
    let mut queues = Vec::with_capacity(threads);
    let mut ends = Vec::with_capacity(threads);
    for number in 0..threads {
        let members = Members::new(&config.cluster.name, config.cluster.exporters.clone());
        let builder = Builder::new(Arc::clone(&shared.directory), members, window, Arc::clone(&unknown));
        let templates =
            config.listen.templates.as_ref().map(|folder| TemplateFiles::new(folder, number, threads));
        let decoder = Decoder::new(DecoderParts {
            limits: Arc::clone(&limits),
            registry: Arc::clone(&registry),
            assembler: Assembler::new(builder, batches.clone(), shared.account.clone(), settings),
            exporters: shared.exporters.clone(),
            account: shared.account.clone(),
            bad_input: shared.bad_input.clone(),
            templates,
            options: config.documents.options,
        });
        let (queue, inputs) = Queue::new();
        let (ended, end) = oneshot::channel();
        let batch_queue = batch_queue.clone();
        let runtime = tokio::runtime::Handle::current();
        std::thread::Builder::new()
            .name(format!("decoder-{number}"))
            .spawn(move || {
                runtime.block_on(decoder.run(inputs, batch_queue));
                // Nobody may wait any more.
                ended.send(()).unwrap_or_default();
            })
            .context("starting a decoder's thread")?;
        queues.push(queue);
        ends.push(end);
    }
    Ok((Decoders::new(queues), DecoderThreads(ends)))
}

/// Beyond that the sink is the bottleneck by far.
const MOST_DECODERS: usize = 16;
