//! A collector in a process of its own, which can be killed as a machine's failure would.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use podflow_cli::local::collector_address;
use podflow_testbed::Testbed;

/// A running collector; it is killed when this is dropped.
#[derive(Debug)]
pub struct CollectorProcess {
    program: PathBuf,
    configuration: PathBuf,
    space: PathBuf,
    process: Child,
    page: String,
}

impl CollectorProcess {
    /// Starts `program`, this package's own `collector`, with the rest of a `collector.yml` in `more`.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(program: &Path, bed: &Testbed, more: &str) -> Result<Self> {
        let (address, configuration) = (collector_address(), bed.folder().join("collector.yml"));
        let text = format!(
            "listen: {{udp: [\"{address}\"], tcp: [\"{address}\"]}}\nhttp: {{listen: \"127.0.0.1:0\"}}\n\
             cluster: {{inventory: \"{}\", kubernetes: \"off\"}}\n{more}",
            bed.inventory_path().display(),
        );
        std::fs::write(&configuration, text)?;
        let space = bed.collector_namespace().path();
        let (process, page) = run(program, &configuration, &space)?;
        Ok(Self { program: program.to_owned(), configuration, space, process, page })
    }

    /// Its page.
    #[must_use]
    pub fn page(&self) -> &str {
        &self.page
    }

    /// Kills it where it stands, and starts it again.
    ///
    /// # Errors
    /// When it does not start again.
    pub fn kill_and_start(&mut self) -> Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        (self.process, self.page) = run(&self.program, &self.configuration, &self.space)?;
        Ok(())
    }
}

impl Drop for CollectorProcess {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to kill.
        let _gone = self.process.kill();
        let _status = self.process.wait();
    }
}

/// Starts it and waits until it says where its page is.
fn run(program: &Path, configuration: &Path, space: &Path) -> Result<(Child, String)> {
    let mut command = Command::new(program);
    command.args([configuration, space]).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut process = command.spawn().with_context(|| format!("starting {}", program.display()))?;
    let mut page = String::new();
    BufReader::new(process.stdout.take().context("no stdout")?).read_line(&mut page)?;
    ensure!(!page.is_empty(), "the collector ended at once: {}", process.wait()?);
    Ok((process, format!("http://{}", page.trim())))
}
