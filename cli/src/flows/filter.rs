//! What the user asks for on the command line, and the query it becomes.
//!
//! Strings are matched on their `.keyword` fields, which indices of every origin have.

use anyhow::{Result, bail};
use serde_json::{Value, json};

/// Which flows. Every filter that is given must fit; a filter without a side fits either end.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Filter {
    /// Kubernetes namespace of either end.
    #[arg(long, short)]
    namespace: Option<String>,

    /// Pod at either end: its name, or namespace/name.
    #[arg(long)]
    pod: Option<String>,

    /// Node of either end.
    #[arg(long)]
    node: Option<String>,

    /// Service that was dialled: namespace/name, namespace/name:port, or the name alone.
    #[arg(long)]
    service: Option<String>,

    /// Address or network of either end, such as 10.10.0.5 or 10.10.0.0/24.
    #[arg(long)]
    address: Option<String>,

    /// Port at either end, or the dialled Service's.
    #[arg(long)]
    port: Option<u16>,

    /// Transport protocol by name, such as TCP.
    #[arg(long)]
    protocol: Option<String>,

    /// Kind of flow, such as Pod-to-Service or Pod-to-External.
    #[arg(long)]
    kind: Option<String>,

    /// Who opened the connection: namespace/pod, else a Node, else an address.
    #[arg(long)]
    from: Option<String>,

    /// Whom it reached: namespace/pod, else a Node, else an address.
    #[arg(long)]
    to: Option<String>,

    /// The beginning of the time looked at: a time (2026-01-31T12:00:00Z) or how long ago (15m, 2h, 7d).
    #[arg(long, default_value = "15m")]
    since: String,

    /// The end of the time looked at, likewise.
    #[arg(long)]
    until: Option<String>,
}

impl Filter {
    /// The query, without the time.
    pub(crate) fn clauses(&self) -> Result<Vec<Value>> {
        let mut clauses = Vec::new();
        let mut add = |clause: Option<Value>| clauses.extend(clause);
        add(self
            .namespace
            .as_deref()
            .map(|name| either("sourcePodNamespace", "destinationPodNamespace", name)));
        add(self.pod.as_deref().map(pod));
        add(self.node.as_deref().map(|name| either("sourceNodeName", "destinationNodeName", name)));
        add(self.service.as_deref().map(service));
        add(self.address.as_deref().map(address).transpose()?);
        add(self.port.map(port));
        add(self.protocol.as_deref().map(|name| exactly("protocol", &name.to_uppercase())));
        add(self.kind.as_deref().map(kind).transpose()?);
        add(self.from.as_deref().map(|name| exactly("sourceName", name)));
        add(self.to.as_deref().map(|name| exactly("destinationName", name)));
        Ok(clauses)
    }

    /// The time, as bounds of `@timestamp`.
    pub(crate) fn range(&self) -> Result<Value> {
        let mut bounds = json!({"gte": moment(&self.since)?});
        if let Some(until) = &self.until {
            bounds["lt"] = moment(until)?.into();
        }
        Ok(json!({"range": {"@timestamp": bounds}}))
    }
}

/// A time stays as it is; a time ago becomes Elasticsearch's date mathematics.
fn moment(text: &str) -> Result<String> {
    let (number, unit) = text.split_at(text.len() - text.chars().last().map_or(0, char::len_utf8));
    if number.parse::<u32>().is_ok() && ["s", "m", "h", "d", "w"].contains(&unit) {
        return Ok(format!("now-{text}"));
    }
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Ok(time.to_string());
    }
    bail!(
        "`{text}` is neither a time such as 2026-01-31T12:00:00Z nor a time ago such as 90s, 15m, 2h, 7d or 2w"
    )
}

fn exactly(field: &str, value: &str) -> Value {
    json!({"term": {format!("ipfix.{field}.keyword"): value}})
}

fn either(source: &str, destination: &str, value: &str) -> Value {
    any(vec![exactly(source, value), exactly(destination, value)])
}

fn any(clauses: Vec<Value>) -> Value {
    json!({"bool": {"should": clauses, "minimum_should_match": 1}})
}

fn pod(name: &str) -> Value {
    match name.split_once('/') {
        Some((namespace, name)) => {
            let side = |side: &str| {
                let both = [("PodNamespace", namespace), ("PodName", name)];
                json!({"bool": {"filter": both.map(|(field, value)| exactly(&format!("{side}{field}"), value))}})
            };
            any(vec![side("source"), side("destination")])
        }
        None => either("sourcePodName", "destinationPodName", name),
    }
}

fn service(name: &str) -> Value {
    let field = "ipfix.destinationServicePortName.keyword";
    match (name.contains('/'), name.contains(':')) {
        (true, true) => exactly("destinationServicePortName", name),
        (true, false) => json!({"prefix": {field: format!("{name}:")}}),
        (false, true) => json!({"wildcard": {field: format!("*/{name}")}}),
        (false, false) => json!({"wildcard": {field: format!("*/{name}:*")}}),
    }
}

fn address(text: &str) -> Result<Value> {
    let (ip, length) = text.split_once('/').unwrap_or((text, "0"));
    if ip.parse::<std::net::IpAddr>().is_err() || length.parse::<u8>().is_err() {
        bail!("--address `{text}` is neither an address nor a network such as 10.10.0.0/24");
    }
    Ok(any(["sourceIP", "destinationIP"]
        .map(|field| json!({"term": {format!("ipfix.{field}"): text}}))
        .to_vec()))
}

fn port(port: u16) -> Value {
    let fields = ["sourceTransportPort", "destinationTransportPort", "destinationServicePort"];
    any(fields.map(|field| json!({"term": {format!("ipfix.{field}"): port}})).to_vec())
}

/// The two parties in any case, so that `pod-to-service` finds what is called Pod-to-Service.
fn kind(text: &str) -> Result<Value> {
    let mut words = text.split('-').map(str::to_lowercase);
    let parties = (words.next(), words.next().as_deref() == Some("to"), words.next(), words.next());
    let (Some(source), true, Some(destination), None) = parties else {
        bail!("--kind `{text}` is no kind such as Pod-to-Service, External-to-Pod or Node-to-Node");
    };
    Ok(exactly("flowKind", &format!("{}-to-{}", capital(&source), capital(&destination))))
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().collect::<String>() + letters.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_ago_and_a_time() {
        assert_eq!(moment("15m").unwrap(), "now-15m");
        assert_eq!(moment("2026-01-31T13:00:00+01:00").unwrap(), "2026-01-31T12:00:00Z");
        for wrong in ["", "m", "15", "1.5h", "yesterday", "15µ"] {
            assert!(moment(wrong).unwrap_err().to_string().contains("15m, 2h"), "{wrong}");
        }
    }

    #[test]
    fn names_become_exact_questions() {
        let both_sides = json!({"bool": {"minimum_should_match": 1, "should": [
            {"bool": {"filter": [{"term": {"ipfix.sourcePodNamespace.keyword": "shop"}},
                {"term": {"ipfix.sourcePodName.keyword": "cart-0"}}]}},
            {"bool": {"filter": [{"term": {"ipfix.destinationPodNamespace.keyword": "shop"}},
                {"term": {"ipfix.destinationPodName.keyword": "cart-0"}}]}}]}});
        assert_eq!(pod("shop/cart-0"), both_sides);
        assert_eq!(
            service("shop/cart"),
            json!({"prefix": {"ipfix.destinationServicePortName.keyword": "shop/cart:"}})
        );
        assert_eq!(
            service("cart"),
            json!({"wildcard": {"ipfix.destinationServicePortName.keyword": "*/cart:*"}})
        );
        assert_eq!(kind("pod-to-SERVICE").unwrap(), exactly("flowKind", "Pod-to-Service"));
    }

    #[test]
    fn what_cannot_be_asked_is_refused() {
        for wrong in ["10.10.0", "10.0.0.0/x", "cart"] {
            assert!(address(wrong).is_err(), "{wrong}");
        }
        assert!(address("fd00::/8").is_ok() && address("10.0.0.1").is_ok());
        for wrong in ["pod", "pod-service", "pod-to", "a-to-b-to-c"] {
            assert!(kind(wrong).is_err(), "{wrong}");
        }
    }
}
