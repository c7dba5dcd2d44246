//! The collector's address: `<host>:<port>[:<protocol>]`.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// Where records go.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CollectorAddr {
    /// Who.
    pub host: Host,
    /// The port; 4739 where the file names none, 4740 for TLS.
    pub port: u16,
    /// How.
    pub protocol: Protocol,
}

/// The host of a collector's address.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Host {
    /// An address.
    Address(IpAddr),
    /// A DNS name, resolved at every connect.
    Name(String),
    /// A Service of the cluster, found without DNS.
    Service {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
}

/// How messages travel.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Protocol {
    /// A stream of messages.
    Tcp,
    /// A message a datagram.
    Udp,
    /// The stream under TLS.
    Tls,
}

impl Protocol {
    /// The word of the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Tls => "tls",
        }
    }
}

impl fmt::Display for CollectorAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Address(IpAddr::V6(address)) => write!(f, "[{address}]")?,
            Host::Address(IpAddr::V4(address)) => write!(f, "{address}")?,
            Host::Name(name) => f.write_str(name)?,
            Host::Service { namespace, name } => write!(f, "{namespace}/{name}")?,
        }
        write!(f, ":{}:{}", self.port, self.protocol.name())
    }
}

/// Reads an address.
///
/// # Errors
/// A sentence part: what is wrong with it.
pub(super) fn parse(text: &str) -> Result<CollectorAddr, String> {
    let text = text.trim();
    let (host, rest) = match text.strip_prefix('[') {
        Some(bracketed) => {
            let (address, rest) = bracketed.split_once(']').ok_or("has no closing bracket")?;
            let address: IpAddr = address
                .parse()
                .map_err(|_| format!("has \"{address}\" in brackets, which is no IPv6 address"))?;
            if !rest.is_empty() && !rest.starts_with(':') {
                return Err(SHAPE.to_owned());
            }
            (Host::Address(address), rest.strip_prefix(':').unwrap_or(""))
        }
        None => {
            let (host, rest) = text.split_once(':').unwrap_or((text, ""));
            if rest.matches(':').count() > 1 || text.parse::<Ipv6Addr>().is_ok() {
                return Err(
                    "looks like an IPv6 address: put it in brackets, as in \"[fd00::9]:4739:tcp\"".to_owned()
                );
            }
            (host_of(host)?, rest)
        }
    };
    let (port, protocol) = rest.split_once(':').unwrap_or((rest, ""));
    let protocol = match protocol.to_ascii_lowercase().as_str() {
        "" | "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        "tls" => Protocol::Tls,
        "grpc" => {
            return Err("asks for grpc, which Antrea's Flow Aggregator speaks and this agent does not: \
                        use tls, tcp or udp"
                .to_owned());
        }
        other => return Err(format!("has the protocol \"{other}\": allowed are tcp, udp and tls")),
    };
    let port = match port {
        "" if protocol == Protocol::Tls => 4740,
        "" => 4739,
        port => port
            .parse::<u16>()
            .ok()
            .filter(|port| *port != 0)
            .ok_or_else(|| format!("has the port \"{port}\": 1 to 65535"))?,
    };
    Ok(CollectorAddr { host, port, protocol })
}

fn host_of(host: &str) -> Result<Host, String> {
    if host.is_empty() {
        return Err(SHAPE.to_owned());
    }
    if let Ok(address) = host.parse() {
        return Ok(Host::Address(address));
    }
    let is_label = |text: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_'))
    };
    match host.split_once('/') {
        Some((namespace, name)) if is_label(namespace) && is_label(name) => {
            Ok(Host::Service { namespace: namespace.to_owned(), name: name.to_owned() })
        }
        None if is_label(host) => Ok(Host::Name(host.to_owned())),
        _ => Err(SHAPE.to_owned()),
    }
}

const SHAPE: &str =
    "is not <host>:<port>[:<protocol>], with an address, a DNS name or <namespace>/<service> as host";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read_and_written() {
        for (text, written) in [
            ("10.0.0.9:4739:tcp", "10.0.0.9:4739:tcp"),
            ("10.0.0.9:4739", "10.0.0.9:4739:tcp"),
            ("10.0.0.9", "10.0.0.9:4739:tcp"),
            ("10.0.0.9::udp", "10.0.0.9:4739:udp"),
            ("[fd00::9]:9:udp", "[fd00::9]:9:udp"),
            ("[fd00::9]", "[fd00::9]:4739:tcp"),
            ("logstash.elk-flow-collector.svc:4739:TLS", "logstash.elk-flow-collector.svc:4739:tls"),
            ("elk-flow-collector/logstash::tls", "elk-flow-collector/logstash:4740:tls"),
        ] {
            assert_eq!(parse(text).map(|addr| addr.to_string()), Ok(written.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, said) in [
            ("", "is not <host>"),
            (":4739", "is not <host>"),
            ("fd00::9", "brackets"),
            ("[fd00::9", "closing bracket"),
            ("[10.0.0]:1", "no IPv6 address"),
            ("h:0:tcp", "1 to 65535"),
            ("h:70000", "1 to 65535"),
            ("h:1:sctp", "tcp, udp and tls"),
            ("h:1:grpc", "Flow Aggregator"),
            ("a/b/c:1", "is not <host>"),
        ] {
            let fault = parse(text).unwrap_err();
            assert!(fault.contains(said), "{text}: {fault}");
        }
    }
}
