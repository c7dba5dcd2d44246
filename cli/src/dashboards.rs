//! `podflow dashboards`: the dashboards as a file of saved objects, checked, or posted to Kibana.
//!
//! The dashboards themselves, and the rules of the check, are `podflow-dashboards`; here is only the way to them.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use podflow_dashboards::{Target, check, kibana_ndjson, opensearch_ndjson};
use serde_json::Value;

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
        let base = self.kibana.trim_end_matches('/');
        let client = self.client()?;
        let target = self.ask(&client, base).await?;
        let space = self.space.as_ref().map(|space| format!("/s/{space}")).unwrap_or_default();
        let overwrite = if self.overwrite { "?overwrite=true" } else { "" };
        let address = format!("{base}{space}/api/saved_objects/_import{overwrite}");
        let body = multipart(&target.file()?);
        let request = client
            .post(&address)
            .header("content-type", format!("multipart/form-data; boundary={BOUNDARY}"))
            .body(body);
        let answer = self.signed(request)?.send().await.with_context(|| format!("posting to {address}"))?;
        let status = answer.status();
        let text = answer.text().await.with_context(|| format!("reading the answer of {address}"))?;
        if !status.is_success() {
            bail!("{address} answered {status}: {}", shortened(&text));
        }
        let answer: Value = serde_json::from_str(&text)
            .with_context(|| format!("{address} answered no JSON: {}", shortened(&text)))?;
        let (summary, good) = summary(&answer);
        println!("{summary}");
        Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn client(&self) -> Result<reqwest::Client> {
        let mut client = reqwest::Client::builder().timeout(TIMEOUT);
        if let Some(path) = &self.ca_file {
            let pem = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
            let certificate = reqwest::Certificate::from_pem(&pem)
                .with_context(|| format!("{} is no PEM certificate", path.display()))?;
            client = client.add_root_certificate(certificate);
        }
        client.build().context("making the HTTP client")
    }

    fn signed(&self, request: reqwest::RequestBuilder) -> Result<reqwest::RequestBuilder> {
        // Each program demands its own of these headers, and ignores the other's.
        let request = request.header("kbn-xsrf", "true").header("osd-xsrf", "true");
        if let Some(path) = &self.api_key_file {
            return Ok(request.header("authorization", format!("ApiKey {}", secret(path)?)));
        }
        Ok(match (&self.username, &self.password_file) {
            (Some(user), Some(path)) => request.basic_auth(user, Some(secret(path)?)),
            _ => request,
        })
    }

    /// Which of the two programs answers at this address.
    async fn ask(&self, client: &reqwest::Client, base: &str) -> Result<For> {
        let address = format!("{base}/api/status");
        let request = self.signed(client.get(&address))?;
        let answer = request.send().await.with_context(|| {
            format!(
                "asking {address}; --kibana wants the address that a browser uses, such as http://kibana:5601"
            )
        })?;
        let status = answer.status();
        if status == reqwest::StatusCode::UNAUTHORIZED || status == reqwest::StatusCode::FORBIDDEN {
            bail!("{address} answered {status}: give --username and --password-file, or --api-key-file");
        }
        let opensearch = answer.headers().contains_key("osd-name");
        let text = answer.text().await.unwrap_or_default();
        if opensearch || text.contains("opensearch") {
            return Ok(For::Opensearch);
        }
        if !status.is_success() {
            bail!("{address} answered {status}: is Kibana there? {}", shortened(&text));
        }
        Ok(For::Kibana)
    }
}

/// What was created, replaced or refused, one line each where there is a reason, and whether all went well.
fn summary(answer: &Value) -> (String, bool) {
    let count = answer["successCount"].as_u64().unwrap_or(0);
    let results = answer["successResults"].as_array().into_iter().flatten();
    let replaced = results.filter(|result| result["overwrite"] == true).count();
    let mut lines = vec![format!("{count} saved objects imported, {replaced} of them replaced")];
    let mut kept = 0;
    let mut failed = Vec::new();
    for error in answer["errors"].as_array().into_iter().flatten() {
        let object = format!("{}:{}", shown(&error["type"]), shown(&error["id"]));
        match error["error"]["type"].as_str().unwrap_or("unknown") {
            "conflict" | "ambiguous_conflict" => kept += 1,
            kind => failed.push(format!("failed: {object}: {kind} {}", shown(&error["error"]["message"]))),
        }
    }
    if kept > 0 {
        lines.push(format!("{kept} were there already and are kept; --overwrite replaces them"));
    }
    let good = failed.is_empty();
    lines.extend(failed);
    (lines.join("\n"), good)
}

fn shown(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A form with one file, whose name must end in `.ndjson`.
fn multipart(text: &str) -> String {
    format!(
        "--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"file\"; filename=\"podflow.ndjson\"\r\n\
         content-type: application/ndjson\r\n\r\n{text}\r\n--{BOUNDARY}--\r\n"
    )
}

fn secret(path: &Path) -> Result<String> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

fn shortened(text: &str) -> String {
    text.chars().take(500).collect()
}

/// JSON in the file escapes nothing to this.
const BOUNDARY: &str = "podflow-b2f1c0d6e5a94738";

/// Kibana migrates each object as it comes; on a busy one that takes seconds.
const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(60);

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
        assert!(error.contains("401") && error.contains("--api-key-file"), "{error}");
        let (address, _thread) = scripted(vec![
            ("200 OK", "{}".to_owned()),
            ("422 Unprocessable Entity", "{\"message\":\"stamp too high\"}".to_owned()),
        ]);
        let error = run_import(&import(address)).unwrap_err().to_string();
        assert!(error.contains("422") && error.contains("stamp too high"), "{error}");
    }

    #[test]
    fn the_summary_tells_what_was_kept_and_what_failed() {
        let answer = json!({"success": false, "successCount": 3, "successResults": [{"overwrite": true}], "errors": [
            {"type": "dashboard", "id": "d", "error": {"type": "conflict"}},
            {"type": "search", "id": "s", "error": {"type": "missing_references", "message": "no pattern"}},
        ]});
        let (text, good) = summary(&answer);
        assert!(!good);
        assert_eq!(
            text,
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
