//! `podflow dashboards`: the dashboards as a file of saved objects, checked, or posted to Kibana.
//!
//! The dashboards themselves, and the rules of the check, are `podflow-dashboards`; here is only the way to them.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use podflow_collector::config::{Auth, Kibana, Secret};
use podflow_collector::kibana::{self, Imported};
use podflow_dashboards::{Target, check, kibana_ndjson, opensearch_ndjson};

/// The dashboards for Kibana and OpenSearch Dashboards.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Command {
    /// Writes the dashboards as saved objects.
    Export {
        /// The file; standard output without one.
        file: Option<PathBuf>,
        /// Which program is to import it.
        #[arg(long = "for", value_enum, default_value = "kibana")]
        target: For,
    },
    /// Checks a file of saved objects by the rules of the import; exit status 1 when it has faults.
    Check {
        /// The file.
        file: PathBuf,
        /// Which program is to import it.
        #[arg(long = "for", value_enum, default_value = "kibana")]
        target: For,
    },
    /// Posts the dashboards to Kibana or OpenSearch Dashboards.
    Import(Import),
}

/// A program that imports saved objects.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum For {
    Kibana,
    Opensearch,
}

impl For {
    const fn target(self) -> Target {
        match self {
            Self::Kibana => Target::Kibana,
            Self::Opensearch => Target::OpenSearch,
        }
    }

    fn file(self) -> Result<String> {
        let made = match self {
            Self::Kibana => kibana_ndjson(),
            Self::Opensearch => opensearch_ndjson(),
        };
        made.context("making the dashboards")
    }
}

#[derive(Clone, Debug, clap::Args)]
struct Import {
    /// Address of Kibana or OpenSearch Dashboards, its base path included: http://kibana:5601
    #[arg(long)]
    kibana: String,
    /// The space to import into; the default one without it.
    #[arg(long)]
    space: Option<String>,
    /// Takes the place of objects with the same id.
    #[arg(long)]
    overwrite: bool,
    /// User name; the password comes from --password-file.
    #[arg(long, requires = "password_file")]
    username: Option<String>,
    /// File with the password.
    #[arg(long)]
    password_file: Option<PathBuf>,
    /// File with an API key, as Kibana shows it (base64).
    #[arg(long, conflicts_with = "username")]
    api_key_file: Option<PathBuf>,
    /// Certificate authority to trust, PEM.
    #[arg(long)]
    ca_file: Option<PathBuf>,
}

/// Does what the command line says.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    match &arguments.command {
        Command::Export { file, target } => export(file.as_deref(), *target).map(|()| ExitCode::SUCCESS),
        Command::Check { file, target } => check_file(file, *target),
        Command::Import(import) => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(import.run())
        }
    }
}

fn export(file: Option<&Path>, target: For) -> Result<()> {
    let text = target.file()?;
    match file {
        Some(path) => std::fs::write(path, text).with_context(|| format!("writing {}", path.display())),
        None => std::io::stdout().write_all(text.as_bytes()).context("writing to standard output"),
    }
}

fn check_file(path: &Path, target: For) -> Result<ExitCode> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let faults = check(&text, target.target());
    for fault in &faults {
        eprintln!("{}: {fault}", path.display());
    }
    if faults.is_empty() {
        println!("{} is good: {} saved objects", path.display(), text.lines().count());
    }
    Ok(if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Import {
    async fn run(&self) -> Result<ExitCode> {
        let done = kibana::import(&self.kibana()?).await?;
        println!("{}", summary(&done));
        Ok(if done.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn kibana(&self) -> Result<Kibana> {
        let auth = match (&self.api_key_file, &self.username, &self.password_file) {
            (Some(path), ..) => Auth::ApiKey(secret(path)?),
            (None, Some(user), Some(path)) => Auth::Basic(user.clone(), secret(path)?),
            _ => Auth::None,
        };
        Ok(Kibana {
            url: self.kibana.clone(),
            space: self.space.clone(),
            overwrite: self.overwrite,
            auth,
            ca_file: self.ca_file.clone(),
        })
    }
}

/// What was created, replaced, kept or refused, one line each where there is a reason.
fn summary(done: &Imported) -> String {
    let mut lines =
        vec![format!("{} saved objects imported, {} of them replaced", done.imported, done.replaced)];
    if done.kept > 0 {
        lines.push(format!("{} were there already and are kept; --overwrite replaces them", done.kept));
    }
    lines.extend(done.failed.iter().map(|failed| format!("failed: {failed}")));
    lines.join("\n")
}

fn secret(path: &Path) -> Result<Secret> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    Ok(Secret::new(&text))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Read as _};
    use std::net::TcpListener;

    use serde_json::json;

    use super::*;

    /// A scripted server: for each connection the next answer; gives back the requests.
    fn scripted(answers: Vec<(&'static str, String)>) -> (String, std::thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let thread = std::thread::spawn(move || {
            let mut requests = Vec::new();
            for (head, body) in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut request = String::new();
                while !request.ends_with("\r\n\r\n") {
                    reader.read_line(&mut request).unwrap();
                }
                let length = request.lines().find_map(|line| line.strip_prefix("content-length: "));
                let mut content = vec![0; length.map_or(0, |text| text.parse().unwrap())];
                reader.read_exact(&mut content).unwrap();
                request.push_str(&String::from_utf8(content).unwrap());
                requests.push(request);
                let length = body.len();
                write!(
                    stream,
                    "HTTP/1.1 {head}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
                )
                .unwrap();
            }
            requests
        });
        (address, thread)
    }

    fn import(kibana: String) -> Import {
        Import {
            kibana,
            space: Some("team".to_owned()),
            overwrite: true,
            username: None,
            password_file: None,
            api_key_file: None,
            ca_file: None,
        }
    }

    fn run_import(import: &Import) -> Result<ExitCode> {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(import.run())
    }

    #[test]
    fn a_scripted_kibana_gets_the_file_in_its_space_with_the_header_that_it_demands() {
        let done = json!({"success": true, "successCount": 2}).to_string();
        let (address, thread) = scripted(vec![
            ("200 OK\r\nkbn-name: kibana", "{\"version\":{\"number\":\"7.10.2\"}}".to_owned()),
            ("200 OK", done),
        ]);
        assert_eq!(run_import(&import(address)).unwrap(), ExitCode::SUCCESS);
        let requests = thread.join().unwrap();
        assert!(requests[0].starts_with("GET /api/status "));
        let posted = &requests[1];
        assert!(
            posted.starts_with("POST /s/team/api/saved_objects/_import?overwrite=true "),
            "{posted:.200}"
        );
        assert!(posted.contains("kbn-xsrf: true") && posted.contains("filename=\"podflow.ndjson\""));
        assert!(posted.contains("kibanaAddFilter"));
    }

    #[test]
    fn a_scripted_opensearch_dashboards_gets_its_own_variant() {
        let done = json!({"success": true, "successCount": 2}).to_string();
        let (address, thread) =
            scripted(vec![("200 OK\r\nosd-name: osd", "{}".to_owned()), ("200 OK", done)]);
        assert_eq!(run_import(&import(address)).unwrap(), ExitCode::SUCCESS);
        let posted = &thread.join().unwrap()[1];
        assert!(posted.contains("opensearchDashboardsAddFilter") && !posted.contains("kibanaAddFilter"));
    }

    #[test]
    fn a_scripted_refusal_is_told_with_its_reason() {
        let (address, _thread) = scripted(vec![("401 Unauthorized", String::new())]);
        let error = run_import(&import(address)).unwrap_err().to_string();
        assert!(error.contains("401") && error.contains("API key"), "{error}");
        let (address, _thread) = scripted(vec![
            ("200 OK", "{}".to_owned()),
            ("422 Unprocessable Entity", "{\"message\":\"stamp too high\"}".to_owned()),
        ]);
        let error = run_import(&import(address)).unwrap_err().to_string();
        assert!(error.contains("422") && error.contains("stamp too high"), "{error}");
    }

    #[test]
    fn the_summary_tells_what_was_kept_and_what_failed() {
        let failed = vec!["search:s: missing_references no pattern".to_owned()];
        let done = Imported { imported: 3, replaced: 1, kept: 1, failed };
        assert_eq!(
            summary(&done),
            "3 saved objects imported, 1 of them replaced\n\
             1 were there already and are kept; --overwrite replaces them\n\
             failed: search:s: missing_references no pattern"
        );
    }

    #[test]
    fn what_is_exported_passes_the_check() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.ndjson");
        for target in [For::Kibana, For::Opensearch] {
            export(Some(&path), target).unwrap();
            assert_eq!(check_file(&path, target).unwrap(), ExitCode::SUCCESS);
        }
        std::fs::write(&path, "no\n").unwrap();
        assert_eq!(check_file(&path, For::Kibana).unwrap(), ExitCode::FAILURE);
    }
}
