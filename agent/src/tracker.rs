//! The thread that reads connection tracking: polls at the interval, events as they come, both into the store.
//!
//! A thread of its own, since netlink sockets block and belong to the network namespace of the thread that opens
//! them: it is started from the thread that runs the agent and inherits that one's namespace.

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use std::{io, thread};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use podflow_daemon::readiness::ReadyGuard;
use tracing::{error, info, warn};

use crate::blindness::{BRIDGE_SWITCH, Blindness};
use crate::clock::Clock;
use crate::conntrack::entry::{Entry, Status};
use crate::conntrack::socket::{ConntrackError, Dump, EventSocket};
use crate::conntrack::source::{Source, TableSource};
use crate::conntrack::switches::{self, Switches};
use crate::conntrack::zones::ZonePlan;
use crate::metrics::TrackerMetrics;
use crate::store::{Limits, Memory, Store};

/// What the tracking thread is to do.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Time between two polls.
    pub(crate) poll_interval: Duration,
    /// The table that is read.
    pub(crate) source: TableSource,
    /// Zones that are read, entries of others are none of ours; none: found out from the table.
    pub(crate) zones: Option<Vec<u16>>,
    /// Bounds and schedule of the store.
    pub(crate) limits: Limits,
}

/// The store, shared between the tracking thread and the exporter. Held for microseconds.
#[derive(Clone)]
pub(crate) struct SharedStore(Arc<Mutex<Store>>);

impl SharedStore {
    pub(crate) fn new(store: Store) -> Self {
        Self(Arc::new(Mutex::new(store)))
    }

    /// Locks the store. A panic of the other side leaves it usable: every step keeps it consistent.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Store> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads connection tracking of one network namespace.
pub(crate) struct Tracker {
    settings: Settings,
    clock: Clock,
    source: Source,
    zones: ZonePlan,
    store: SharedStore,
    metrics: TrackerMetrics,
    blindness: Blindness,
    surveyed: bool,
    /// Events were lost, and no dump was asked for since.
    events_lost: bool,
}

impl Tracker {
    /// Opens the table and, where it is the kernel's, sets its switches, in the network namespace of this thread.
    ///
    /// # Errors
    /// Where the kernel refuses a socket.
    pub(crate) fn open(
        settings: Settings,
        clock: Clock,
        memory: impl FnOnce(u64) -> Memory,
        metrics: TrackerMetrics,
        mut blindness: Blindness,
    ) -> Result<Self, ConntrackError> {
        let source = Source::open(&settings.source, settings.limits.connections)?;
        let opened_ms = clock.now().wall_ms;
        let directory = switches::directory();
        let switches = match settings.source {
            TableSource::Kernel => {
                let switches = switches::switch_on(&directory);
                blindness.look_at_switches(switches);
                switches
            }
            // That table has none of this: no counters, no times of birth, no events.
            TableSource::OpenVSwitch(_) => Switches::default(),
        };
        blindness.look_at_bridges(Path::new(BRIDGE_SWITCH));
        metrics
            .max_connections
            .set(switches::maximum(&directory).and_then(|max| max.try_into().ok()).unwrap_or(0));
        let store = Store::new(settings.limits, memory(opened_ms), events_since(switches, opened_ms));
        Ok(Self {
            zones: ZonePlan::new(settings.zones.clone()),
            settings,
            clock,
            source,
            store: SharedStore::new(store),
            metrics,
            blindness,
            surveyed: false,
            events_lost: false,
        })
    }

    /// The store that this tracker fills.
    pub(crate) fn store(&self) -> SharedStore {
        self.store.clone()
    }

    /// Starts the thread. It polls until told to stop, then once more.
    ///
    /// # Errors
    /// Where the system has no thread or no file descriptor left.
    pub(crate) fn start(mut self, first_poll: ReadyGuard) -> io::Result<Running> {
        let (stop, stopped) = UnixStream::pair()?;
        let thread = thread::Builder::new()
            .name("conntrack".to_owned())
            .spawn(move || self.run(first_poll, &stopped))?;
        Ok(Running { stop, thread })
    }

    fn run(&mut self, first_poll: ReadyGuard, stopped: &UnixStream) {
        let mut next = Instant::now() + self.settings.poll_interval;
        self.poll();
        drop(first_poll);
        loop {
            if Instant::now() >= next {
                self.poll();
                // A poll that took longer than the interval does not make the next ones follow without a pause.
                next = (next + self.settings.poll_interval).max(Instant::now());
            }
            if std::mem::take(&mut self.events_lost) {
                // Answered by a fresh dump, but not by one after another where events are lost all the time.
                next = next.min(Instant::now() + FRESH_DUMP);
            }
            match wait(stopped, self.source.events(), next.saturating_duration_since(Instant::now())) {
                Woken::Stop => break,
                Woken::Time => {}
                Woken::Events => {
                    // Events are taken in batches, not one wake-up each.
                    let batch = EVENT_BATCH.min(next.saturating_duration_since(Instant::now()));
                    if matches!(wait(stopped, None, batch), Woken::Stop) {
                        break;
                    }
                    self.drain_events();
                }
            }
        }
        self.poll();
    }

    /// One poll: every zone dumped, events that came meanwhile, then the judgement on what is gone.
    pub(crate) fn poll(&mut self) {
        let began = Instant::now();
        self.survey();
        self.store.lock().begin_dump();
        let mut total = Dump { complete: true, ..Dump::default() };
        let (mut uncounted, mut offloaded) = (0_u64, 0_u64);
        for zone in self.zones.dumps() {
            let now = self.clock.now();
            let (store, zones) = (&self.store, &mut self.zones);
            let mut others = 0;
            // Locked for some entries at a time: the exporter gets its turn between.
            let (mut locked, mut left) = (None, 0_u32);
            let mut on_entry = |entry: &Entry| {
                zones.found(entry.zones);
                if !zones.wants(entry.zones) {
                    others += 1;
                    return;
                }
                uncounted += u64::from(entry.counters.is_none());
                offloaded += u64::from(entry.status.any(Status::OFFLOADED));
                if left == 0 {
                    drop(locked.take());
                    left = LOCKED_FOR;
                }
                left -= 1;
                locked.get_or_insert_with(|| store.lock()).seen(entry, now);
            };
            match self.source.dump(zone, &mut on_entry) {
                Ok(dump) => {
                    self.zones.not_asked_for(dump.foreign);
                    total.entries += dump.entries - others;
                    total.foreign += dump.foreign + others;
                    total.unreadable += dump.unreadable;
                    total.complete &= dump.complete;
                }
                Err(error) => {
                    error!(
                        ?zone,
                        error = display_chain(&error),
                        "conntrack poll failed; tried again at the next"
                    );
                    self.metrics.failed_polls.inc();
                    total.complete = false;
                }
            }
        }
        // The kernel sends the event before it removes the entry: what this dump lacks is told by now.
        self.drain_events();
        let now = self.clock.now();
        let (held, waiting, tally) = {
            let mut store = self.store.lock();
            store.finish_dump(total.complete, now);
            (store.len(), store.waiting(), store.tally())
        };
        self.metrics.poll_seconds.observe(began.elapsed().as_secs_f64());
        self.metrics.unreadable.inc_by(total.unreadable);
        self.metrics.foreign.inc_by(total.foreign);
        self.metrics.observe_table(switches::count(&switches::directory()).unwrap_or(total.entries));
        self.metrics.observe_store(total.entries, held, waiting, &tally);
        self.blindness.observe(uncounted, offloaded, &tally);
    }

    /// Looks once at what zones there are, before anything is taken in.
    fn survey(&mut self) {
        if self.surveyed || !self.zones.is_open() {
            return;
        }
        let zones = &mut self.zones;
        // Where it fails, so does the poll that follows, which says so.
        self.surveyed = self.source.dump(None, &mut |entry| zones.found(entry.zones)).is_ok();
    }

    fn drain_events(&mut self) {
        let now = self.clock.now();
        let (store, zones) = (&self.store, &self.zones);
        let drained = self.source.drain(&mut |entry, port_id| {
            if zones.wants(entry.zones) {
                store.lock().destroyed(entry, port_id, now);
            }
        });
        match drained {
            Ok(drained) => {
                self.metrics.events.inc_by(drained.events);
                self.metrics.unreadable.inc_by(drained.unreadable);
                if drained.overruns > 0 {
                    self.metrics.overruns.inc_by(drained.overruns);
                    self.store.lock().events_lost();
                    self.events_lost = true;
                    warn!(
                        "conntrack events were lost (the socket's buffer was full); the next dump tells what ended"
                    );
                }
            }
            Err(error) => {
                error!(error = display_chain(&error), "conntrack events cannot be received");
                self.store.lock().events_lost();
                self.events_lost = true;
            }
        }
    }
}

/// The running thread.
pub(crate) struct Running {
    stop: UnixStream,
    thread: JoinHandle<()>,
}

impl Running {
    /// Tells the thread to poll once more and end, and waits for it.
    pub(crate) fn stop(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            error!("the conntrack thread had panicked");
        }
        info!("conntrack polled for the last time");
    }
}

enum Woken {
    Stop,
    Events,
    Time,
}

fn wait(stopped: &UnixStream, events: Option<&EventSocket>, time: Duration) -> Woken {
    let mut descriptors = vec![PollFd::new(stopped.as_fd(), PollFlags::POLLIN)];
    descriptors.extend(events.map(|events| PollFd::new(events.socket().as_fd(), PollFlags::POLLIN)));
    // Rounded up, so that the time has come when poll returns.
    let milliseconds = u16::try_from(time.as_millis().saturating_add(1)).unwrap_or(u16::MAX);
    match poll(&mut descriptors, PollTimeout::from(milliseconds)) {
        Ok(0) | Err(_) => Woken::Time,
        Ok(_) if descriptors.first().and_then(PollFd::any).unwrap_or(false) => Woken::Stop,
        Ok(_) => Woken::Events,
    }
}

/// From when on entries report their end, milliseconds since 1970.
fn events_since(switches: Switches, opened_ms: u64) -> u64 {
    match switches {
        Switches { events: false, .. } => u64::MAX,
        Switches { earlier_events: true, .. } => 0,
        // Births are stamped by the same clock; one that is stepped back costs a wait, not a record.
        Switches { .. } => opened_ms,
    }
}

/// An error with its causes, in one line.
pub(crate) fn display_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// Entries that are taken in under one lock: some 50 µs of work.
const LOCKED_FOR: u32 = 128;

/// How soon a dump answers that events were lost: the shortest interval between polls that can be configured.
const FRESH_DUMP: Duration = Duration::from_secs(1);

/// How long events are gathered before they are taken in.
const EVENT_BATCH: Duration = Duration::from_millis(100);
