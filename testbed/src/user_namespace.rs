//! Root inside a user namespace of our own, for a user who is not root.
//!
//! A user namespace may give its first process every capability over the network namespaces made inside it,
//! and none outside. The kernel lets only a process with a single thread move into one, so this comes first.

use std::fs;
use std::io;

use anyhow::{Result, anyhow};
use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Gid, Uid, getegid, geteuid};

/// What [`ensure_root`] found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Rights {
    /// The process was root before.
    Root,
    /// The process is root in a user namespace that was just made for it.
    UserNamespace,
}

/// Makes the process root over its own network namespaces, if it is not root already.
///
/// Must be called while the process has one thread. Sockets opened before stay in the machine's network
/// namespace; so do those opened after, until a thread moves elsewhere.
///
/// # Errors
/// When the machine allows no unprivileged user namespace: one sentence that says what to do.
pub fn ensure_root() -> Result<Rights> {
    let (user, group) = (geteuid(), getegid());
    if user.is_root() {
        return Ok(Rights::Root);
    }
    unshare(CloneFlags::CLONE_NEWUSER).map_err(|errno| refused(&errno.to_string()))?;
    // A user namespace without the right to map itself is what AppArmor's restriction leaves.
    map_to_root(user, group).map_err(|error| refused(&error.to_string()))?;
    unshare_probe()?;
    Ok(Rights::UserNamespace)
}

/// The first line that is written decides: without `deny`, an unprivileged user may not map groups.
fn map_to_root(user: Uid, group: Gid) -> io::Result<()> {
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("0 {user} 1"))?;
    fs::write("/proc/self/gid_map", format!("0 {group} 1"))
}

/// Tries on a thread of its own what the testbed will do, since some machines only refuse at this point.
fn unshare_probe() -> Result<()> {
    let tried = std::thread::spawn(|| unshare(CloneFlags::CLONE_NEWNET)).join().unwrap_or(Err(Errno::EIO));
    tried.map_err(|errno| refused(&errno.to_string()))
}

fn refused(reason: &str) -> anyhow::Error {
    anyhow!(
        "this machine gives a plain user no network namespaces ({reason}): run it as root, for example with sudo, \
         or allow them with `sysctl -w kernel.unprivileged_userns_clone=1 user.max_user_namespaces=10000` \
         (on Ubuntu also `sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`)"
    )
}
