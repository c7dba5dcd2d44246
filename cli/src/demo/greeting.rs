//! What the demo says once it runs: where to look, and how to get there over SSH.

use std::io::Write;
use std::net::{IpAddr, SocketAddr};

use podflow_testbed::Testbed;

use super::SECONDS_BETWEEN_EXPORTS;

/// Prints it. A terminal that is gone is no reason to fail.
pub(super) fn print(bed: &Testbed, page: SocketAddr) {
    let ssh = std::env::var("SSH_CONNECTION").ok().and_then(|connection| tunnel(&connection, &user(), page));
    let (nodes, pods) = (bed.nodes().len(), bed.nodes().iter().map(|node| node.pods.len()).sum::<usize>());
    let text = format!(
        "A cluster of {nodes} Nodes and {pods} Pods is running on this machine, with real traffic between them.\n\
         \n    {}\n\n{}\
         The first flows are there in about {} seconds. Ctrl-C ends it and leaves nothing behind.\n",
        url(page),
        ssh.map(|command| format!("From your own machine, over SSH: {command}\n")).unwrap_or_default(),
        2 * SECONDS_BETWEEN_EXPORTS,
    );
    if std::io::stdout().write_all(text.as_bytes()).and_then(|()| std::io::stdout().flush()).is_err() {
        tracing::warn!("nobody reads what is said here; the page is at {}", url(page));
    }
}

fn url(page: SocketAddr) -> String {
    match page.ip() {
        ip if ip.is_loopback() && ip.is_ipv4() => format!("http://localhost:{}", page.port()),
        ip if ip.is_unspecified() => {
            format!("http://localhost:{0} (port {0} of every address of this machine)", page.port())
        }
        _ => format!("http://{page}"),
    }
}

/// `SSH_CONNECTION` is the client's address and port, then ours; the client knows ours.
fn tunnel(connection: &str, user: &str, page: SocketAddr) -> Option<String> {
    let mut words = connection.split_whitespace().skip(2);
    let (server, ssh_port) = (words.next()?.parse::<IpAddr>().ok()?, words.next()?);
    // Who listens on an address that other machines reach needs no tunnel.
    if !page.ip().is_loopback() {
        return None;
    }
    let port = page.port();
    let at_port = if ssh_port == "22" { String::new() } else { format!(" -p {ssh_port}") };
    Some(format!("ssh -L {port}:localhost:{port}{at_port} {user}@{server}"))
}

fn user() -> String {
    std::env::var("USER").unwrap_or_else(|_| "root".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tunnel_leads_to_where_the_user_logged_in() {
        let page = "127.0.0.1:30007".parse().unwrap();
        let command = |connection| tunnel(connection, "ada", page);
        assert_eq!(
            command("192.0.2.7 50022 198.51.100.4 22").as_deref(),
            Some("ssh -L 30007:localhost:30007 ada@198.51.100.4")
        );
        assert_eq!(
            command("192.0.2.7 50022 2001:db8::4 2222").as_deref(),
            Some("ssh -L 30007:localhost:30007 -p 2222 ada@2001:db8::4")
        );
        assert_eq!(command("nonsense"), None);
        assert_eq!(tunnel("192.0.2.7 50022 198.51.100.4 22", "ada", "0.0.0.0:30007".parse().unwrap()), None);
    }

    #[test]
    fn the_address_is_one_to_click_on() {
        assert_eq!(url("127.0.0.1:30007".parse().unwrap()), "http://localhost:30007");
        assert_eq!(url("[::1]:8080".parse().unwrap()), "http://[::1]:8080");
        assert!(url("0.0.0.0:8080".parse().unwrap()).starts_with("http://localhost:8080 "));
    }
}
