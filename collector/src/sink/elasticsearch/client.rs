//! The servers of one cluster: requests go round them, one that does not answer is put aside for a while.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use elasticsearch::auth::{ClientCertificate, Credentials};
use elasticsearch::cert::{Certificate, CertificateValidation};
use elasticsearch::http::headers::{CONTENT_TYPE, HeaderMap, HeaderValue};
use elasticsearch::http::transport::{SingleNodeConnectionPool, TransportBuilder};
use elasticsearch::http::{Method, Url};

use crate::config::{Auth, Elasticsearch as Config};

/// A client for all servers of the configuration.
#[derive(Debug)]
pub(crate) struct Client {
    hosts: Vec<Host>,
    next: AtomicUsize,
    timeout: Duration,
}

#[derive(Debug)]
struct Host {
    url: String,
    client: elasticsearch::Elasticsearch,
    aside_until: Mutex<Option<Instant>>,
}

/// A server's answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// HTTP status.
    pub(crate) status: u16,
    /// Content type of the body.
    pub(crate) content_type: String,
    /// The whole body.
    pub(crate) body: Bytes,
}

impl Client {
    /// A client; nothing is connected yet.
    ///
    /// # Errors
    /// When a certificate file cannot be read or an address is no URL.
    pub(crate) fn new(config: &Config) -> Result<Self> {
        let hosts = config.hosts.iter().map(|url| Host::new(url, config)).collect::<Result<Vec<_>>>()?;
        Ok(Self { hosts, next: AtomicUsize::new(0), timeout: config.timeout })
    }

    /// Sends a JSON request to one of the servers.
    ///
    /// # Errors
    /// When no whole answer came, with the server's address and the cause.
    pub(crate) async fn send(&self, method: Method, path: &str, body: Option<Bytes>) -> Result<Answer> {
        self.request(method, path, "application/json", body).await
    }

    /// Asks one of the servers for JSON.
    ///
    /// # Errors
    /// As [`Client::send`], and when the answer is not 200 with JSON.
    pub(crate) async fn get(&self, path: &str) -> Result<serde_json::Value> {
        let answer = self.send(Method::Get, path, None).await?;
        if answer.status != 200 {
            bail!("GET {path}: status {}: {}", answer.status, String::from_utf8_lossy(&answer.body));
        }
        serde_json::from_slice(&answer.body).with_context(|| format!("GET {path}: no JSON"))
    }

    /// Sends newline-delimited JSON to one of the servers.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub(crate) async fn send_lines(&self, path: &str, body: Bytes) -> Result<Answer> {
        self.request(Method::Post, path, "application/x-ndjson", Some(body)).await
    }

    async fn request(
        &self,
        method: Method,
        path: &str,
        content_type: &'static str,
        body: Option<Bytes>,
    ) -> Result<Answer> {
        let host = self.pick();
        match host.request(method, path, content_type, body, self.timeout).await {
            Ok(answer) => {
                host.put_aside(None);
                Ok(answer)
            }
            Err(error) => {
                host.put_aside(Some(Instant::now() + ASIDE));
                Err(error.context(format!("{}/{path}", host.url)))
            }
        }
    }

    /// The next server that is not put aside; if all are, the next one.
    fn pick(&self) -> &Host {
        let start = self.next.fetch_add(1, Ordering::Relaxed);
        let turn = (0..self.hosts.len()).map(|step| &self.hosts[(start + step) % self.hosts.len()]);
        let mut first = None;
        for host in turn {
            if host.is_up() {
                return host;
            }
            first.get_or_insert(host);
        }
        // The configuration names at least one.
        first.unwrap_or(&self.hosts[0])
    }
}

impl Host {
    fn new(url: &str, config: &Config) -> Result<Self> {
        let parsed = Url::parse(url).with_context(|| format!("store.elasticsearch.hosts: {url}"))?;
        let mut builder = TransportBuilder::new(SingleNodeConnectionPool::new(parsed))
            .enable_meta_header(false)
            .request_body_compression(config.gzip);
        if let Some(file) = &config.ca_file {
            let chain = Certificate::from_pem(&read(file)?).with_context(|| named(file))?;
            builder = builder.cert_validation(CertificateValidation::Full(chain));
        }
        if let Some((certificate, key)) = &config.client_certificate {
            let mut pem = read(certificate)?;
            pem.push(b'\n');
            pem.extend(read(key)?);
            builder = builder.auth(Credentials::Certificate(ClientCertificate::Pem(pem)));
        }
        let transport = builder.build().context("preparing the Elasticsearch client")?;
        let credentials = match &config.auth {
            Auth::None => None,
            Auth::Basic(user, password) => {
                Some(Credentials::Basic(user.clone(), password.expose().to_owned()))
            }
            Auth::ApiKey(key) => Some(Credentials::EncodedApiKey(key.expose().to_owned())),
            Auth::Bearer(token) => Some(Credentials::Bearer(token.expose().to_owned())),
        };
        // The certificate is in the connections by now.
        let client = elasticsearch::Elasticsearch::new(transport.clone_with_auth(credentials));
        Ok(Self { url: url.to_owned(), client, aside_until: Mutex::new(None) })
    }

    async fn request(
        &self,
        method: Method,
        path: &str,
        content_type: &'static str,
        body: Option<Bytes>,
        timeout: Duration,
    ) -> Result<Answer> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        let response = self.client.send(method, path, headers, None::<&()>, body, Some(timeout)).await?;
        let status = response.status_code().as_u16();
        // Not `response.content_type()`: it panics where a proxy's answer has none.
        let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let content_type = content_type.unwrap_or("application/octet-stream").to_owned();
        let body = response.bytes().await?;
        Ok(Answer { status, content_type, body })
    }

    fn is_up(&self) -> bool {
        let until = self.aside_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_none_or(|until| Instant::now() >= until)
    }

    fn put_aside(&self, until: Option<Instant>) {
        *self.aside_until.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }
}

fn read(file: &Path) -> Result<Vec<u8>> {
    std::fs::read(file).with_context(|| named(file))
}

fn named(file: &Path) -> String {
    format!("reading {}", file.display())
}

/// How long a server that did not answer is put aside, while others answer.
const ASIDE: Duration = Duration::from_secs(5);
