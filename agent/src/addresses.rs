//! The addresses of this Node's own interfaces, as they come and go.
//!
//! Kubelet's probes come from a bridge's or tunnel's address, and such devices appear when the first Pod starts. The
//! kernel tells of each over rtnetlink; what is then read is the whole list, so no notice needs to be understood, and one
//! that was lost is made up for by the next, or some time later.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{AsyncSocket as _, AsyncSocketExt as _, SocketAddr, TokioSocket};
use tracing::warn;

/// Gives every list of addresses to `keep`: at once, whenever the kernel says that it has changed, and `again` and
/// again. Never ends.
pub(crate) async fn follow(keep: impl Fn(Vec<IpAddr>), again: Duration) {
    let notices = Notices::open();
    if let Err(error) = &notices {
        warn!(%error, "the kernel does not tell of new addresses; they are looked for every {} s", again.as_secs());
    }
    loop {
        keep(own());
        match &notices {
            // Whether one came or not, the list is read again.
            Ok(notices) => drop(tokio::time::timeout(again, notices.next()).await),
            Err(_) => tokio::time::sleep(again).await,
        }
    }
}

/// The names of every interface of this network namespace.
pub(crate) fn device_names() -> Vec<String> {
    let interfaces = nix::ifaddrs::getifaddrs().into_iter().flatten();
    interfaces.map(|interface| interface.interface_name).collect()
}

/// The addresses of every interface of this network namespace.
pub(crate) fn own() -> Vec<IpAddr> {
    let interfaces = match nix::ifaddrs::getifaddrs() {
        Ok(interfaces) => interfaces,
        Err(error) => {
            warn!(%error, "this Node's own addresses cannot be listed");
            return Vec::new();
        }
    };
    interfaces
        .filter_map(|interface| interface.address)
        .filter_map(|address| {
            address
                .as_sockaddr_in()
                .map(|v4| IpAddr::V4(v4.ip()))
                .or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
        })
        .collect()
}

/// The kernel's notices of addresses, in the network namespace of the thread that opens this.
struct Notices(TokioSocket);

impl Notices {
    fn open() -> io::Result<Self> {
        let mut notices = TokioSocket::new(NETLINK_ROUTE)?;
        let socket = notices.socket_mut();
        socket.bind(&SocketAddr::new(0, 0))?;
        for group in [libc::RTNLGRP_IPV4_IFADDR, libc::RTNLGRP_IPV6_IFADDR] {
            socket.add_membership(group)?;
        }
        Ok(Self(notices))
    }

    /// Waits for one; nothing of it is needed.
    async fn next(&self) {
        if self.0.recv(&mut [0_u8; 4096].as_mut_slice()).await.is_err() {
            // Some were lost for want of room, which is a notice too; a pause, so that no other error makes this a busy loop.
            tokio::time::sleep(AFTER_ERROR).await;
        }
    }
}

const AFTER_ERROR: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use podflow_testbed::Namespace;
    use podflow_testbed::tools::{IP, run};

    use super::*;

    const NEVER: Duration = Duration::from_secs(86_400);
    const PATIENCE: Duration = Duration::from_secs(180);

    #[test]
    fn an_address_is_known_when_it_appears_and_no_longer_when_it_goes() {
        let space = Namespace::new("addresses").unwrap();
        let bridge: IpAddr = "10.10.0.1".parse().unwrap();
        let ip = |arguments: &str| {
            run(&space, IP, &arguments.split(' ').collect::<Vec<_>>(), "").unwrap();
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.unwrap();
        space
            .enter(|| {
                runtime.block_on(async {
                    let known = Mutex::new(Vec::new());
                    let follow = follow(|found| *known.lock().unwrap() = found, NEVER);
                    let until = async |wanted: bool| {
                        while known.lock().unwrap().contains(&bridge) != wanted {
                            tokio::time::sleep(Duration::from_millis(10)).await;
                        }
                    };
                    let change = async {
                        // The first list was read after the kernel was asked for notices.
                        tokio::task::yield_now().await;
                        ip("link add name cni0 type bridge");
                        ip("address add 10.10.0.1/24 dev cni0");
                        until(true).await;
                        ip("link delete cni0");
                        until(false).await;
                    };
                    tokio::select! {
                        () = follow => unreachable!("it never ends"),
                        changed = tokio::time::timeout(PATIENCE, change) => changed.unwrap(),
                    }
                });
            })
            .unwrap();
    }
}
