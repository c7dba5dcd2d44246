//! TLS: the collector must be who it says, may ask who we are, and renewed files take effect at the next connection.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::{Arc, Mutex};

use podflow_testbed::traffic::requests;
use podflow_testbed::{Shape, Testbed};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use super::restarts::metric;
use crate::support::{self, Agent, Collector, NO_STATE};

/// An authority.
struct Authority {
    pem: String,
    der: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let (mut params, key) = (CertificateParams::default(), KeyPair::generate().unwrap());
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        Self { pem: certificate.pem(), der: certificate.der().clone(), issuer: Issuer::new(params, key) }
    }

    /// A certificate for a name, and its key.
    fn sign(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &self.issuer).unwrap();
        (certificate, key)
    }

    /// A collector's side that shows a certificate of this authority and wants one of `clients`.
    fn server(&self, clients: &Self) -> Arc<ServerConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(clients.der.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .unwrap();
        let (certificate, key) = self.sign("collector.test");
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            );
        Arc::new(config.unwrap())
    }
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
}

#[test]
fn both_sides_show_certificates_and_renewed_ones_are_taken_up() {
    let bed = Testbed::start(Shape { nodes: 1, pods_per_node: 2, ..Shape::default() }).unwrap();
    let (old, new, clients) = (Authority::new(), Authority::new(), Authority::new());
    let present = Arc::new(Mutex::new(old.server(&clients)));
    let space = bed.collector_namespace();
    let listener = space.enter(|| TcpListener::bind("172.18.0.254:0")).unwrap().unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    let (collector, records) = Collector::filled_by_others(address, "tls");
    let config = Arc::clone(&present);
    // Each connection ends after its first message with records, so that the next one begins with a handshake.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let session = ServerConnection::new(Arc::clone(&config.lock().unwrap())).unwrap();
            let records = Arc::clone(&records);
            let stream = StreamOwned::new(session, stream.unwrap());
            let had = records.lock().unwrap().len();
            let stream = OneMessage { stream, seen: Arc::clone(&records), had };
            std::thread::spawn(move || support::read_stream(stream, &records, false));
        }
    });
    let at = |name: &str| bed.folder().join(name);
    let (certificate, key) = clients.sign("agent.test");
    write(&at("ca.pem"), &old.pem);
    write(&at("own.pem"), &certificate.pem());
    write(&at("own.key"), &key.serialize_pem());
    let more = format!(
        "{NO_STATE}  tls: {{ca: {}, serverName: collector.test, certificate: {}, key: {}}}\n",
        at("ca.pem").display(),
        at("own.pem").display(),
        at("own.key").display(),
    );
    let agent = Agent::start(&bed, bed.node(0), &collector, &more);
    let traffic = || {
        let sent = requests(&bed.pod(0, 0).space, bed.pod(0, 1).address(), 1, 100).unwrap();
        sent[0].source.port().to_string()
    };
    let has = |port: &String| {
        collector.records().iter().any(|record| record.get("sourceTransportPort") == Some(port))
    };
    let first = traffic();
    support::wait_for("a record over TLS", || has(&first));

    // The collector's authority changes: nobody is trusted until the agent's file says so.
    *present.lock().unwrap() = new.server(&clients);
    let space = &bed.node(0).space;
    let tries = || metric(space, "podflow_agent_reconnections_total").unwrap();
    let before = tries();
    let second = traffic();
    support::wait_for("tries that are refused", || tries() > before);
    assert!(!has(&second), "an unknown authority is not trusted");
    write(&at("ca.pem"), &new.pem);
    support::wait_for("a record under the new authority", || has(&second));
    agent.stop();
}

/// A stream that ends once records have come over it.
struct OneMessage<S> {
    stream: S,
    seen: Arc<Mutex<Vec<support::Record>>>,
    had: usize,
}

impl<S: std::io::Read> std::io::Read for OneMessage<S> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self
            .seen
            .lock()
            .unwrap()
            .iter()
            .skip(self.had)
            .any(|record| record.contains_key("sourceTransportPort"))
        {
            return Ok(0);
        }
        self.stream.read(buffer)
    }
}
