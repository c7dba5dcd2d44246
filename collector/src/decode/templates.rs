//! UDP templates over a restart: each decoder keeps those of its exporters in a file, so that the next run is not
//! blind until the next refresh.

use std::path::{Path, PathBuf};

use tracing::{info, warn};

use podflow_ipfix::collect::UdpSessions;

use crate::receive::{decoder_of, now_ms};

/// The files of all decoders, and which of them this decoder writes.
#[derive(Debug)]
pub(crate) struct TemplateFiles {
    folder: PathBuf,
    number: usize,
    decoders: usize,
}

impl TemplateFiles {
    /// Files in `folder` for the decoder `number` of so many.
    pub(crate) fn new(folder: &Path, number: usize, decoders: usize) -> Self {
        Self { folder: folder.to_owned(), number, decoders }
    }

    /// Learns the templates of this decoder's exporters from every file: the earlier run may have had another number
    /// of decoders.
    pub(crate) fn restore(&self, sessions: &mut UdpSessions) {
        let mut known = 0;
        for number in 0..MOST_FILES {
            let path = self.path(number);
            let saved = match std::fs::read(&path) {
                Ok(saved) => saved,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => {
                    warn!(path = %path.display(), "reading the templates of the earlier run: {error}");
                    continue;
                }
            };
            let ours = |from: std::net::SocketAddr| {
                decoder_of(from.ip().to_canonical(), self.decoders) == self.number
            };
            let restored = sessions.restore(0, wall_ms(), &saved, ours);
            known += restored.templates;
            if let Some(damage) = restored.damage {
                warn!(path = %path.display(), "reading the templates of the earlier run: {damage}");
            }
        }
        if known > 0 {
            info!(templates = known, "templates of the earlier run are known again");
        }
    }

    /// Writes the templates of this decoder's exporters.
    pub(crate) fn save(&self, sessions: &UdpSessions, uptime_ms: u64) {
        let path = self.path(self.number);
        if sessions.is_empty() && !path.exists() {
            return;
        }
        let temporary = path.with_extension("new");
        let written = std::fs::create_dir_all(&self.folder)
            .and_then(|()| std::fs::write(&temporary, sessions.save(uptime_ms, wall_ms())))
            .and_then(|()| std::fs::rename(&temporary, &path));
        if let Err(error) = written {
            warn!(path = %path.display(), "keeping templates for the next run: {error}");
        }
    }

    fn path(&self, number: usize) -> PathBuf {
        self.folder.join(format!("templates-{number}"))
    }
}

fn wall_ms() -> u64 {
    u64::try_from(now_ms()).unwrap_or_default()
}

/// As many decoders as there ever are.
const MOST_FILES: usize = 16;
