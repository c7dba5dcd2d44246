//! One anonymous network namespace.
//!
//! It is made by a thread that unshares its own and hands out a file descriptor of it. Work inside it is
//! done by threads that move in and end there; threads and programs that those start are inside too.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use anyhow::{Context, Result, anyhow};
use nix::errno::Errno;
use nix::sched::{CloneFlags, setns, unshare};

/// A network namespace that lives as long as this handle, a copy of it, or a thread inside it.
#[derive(Clone, Debug)]
pub struct Namespace {
    name: Arc<str>,
    file: Arc<File>,
}

impl Namespace {
    /// Makes a new, empty namespace. `name` only appears in messages and thread names.
    ///
    /// # Errors
    /// When the kernel refuses, with what to do about it.
    pub fn new(name: &str) -> Result<Self> {
        let file = on_own_thread(name, || {
            unshare(CloneFlags::CLONE_NEWNET).map_err(|errno| refused(name, errno))?;
            File::open(OWN_NAMESPACE).with_context(|| format!("opening {OWN_NAMESPACE}"))
        })?;
        Ok(Self { name: name.into(), file: Arc::new(file?) })
    }

    /// One that another process holds, under the path that its handle's [`Self::path`] gave.
    ///
    /// # Errors
    /// When that process has ended, or belongs to somebody else.
    pub fn open(name: &str, path: &Path) -> Result<Self> {
        let file =
            File::open(path).with_context(|| format!("opening the network namespace {}", path.display()))?;
        Ok(Self { name: name.into(), file: Arc::new(file) })
    }

    /// The name it was made with.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A path under which other programs of the same user can open it while this process lives.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        Path::new("/proc")
            .join(std::process::id().to_string())
            .join("fd")
            .join(self.file.as_raw_fd().to_string())
    }

    /// Runs `work` on a thread inside the namespace and waits for it.
    ///
    /// # Errors
    /// When the thread could not be started or moved. What `work` returns is handed through as it is.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        on_own_thread(&self.name, || {
            self.move_in()?;
            Ok(work())
        })?
    }

    /// Starts a thread inside the namespace that goes on by itself.
    ///
    /// # Errors
    /// When the thread could not be started or moved.
    pub fn spawn<T: Send + 'static>(
        &self,
        name: &str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<JoinHandle<T>> {
        // A thread inherits the namespace of the one that starts it, so the move happens before, where its
        // failure can still be told to the caller.
        self.enter(|| Builder::new().name(thread_name(name)).spawn(work))?
            .with_context(|| format!("starting the thread {name} in {}", self.name))
    }

    /// Writes a kernel setting of this namespace, such as `net/ipv4/ip_forward`.
    ///
    /// # Errors
    /// When there is no such setting or it may not be written.
    pub fn set(&self, setting: &str, value: &str) -> Result<()> {
        let path = Path::new("/proc/sys").join(setting);
        self.enter(|| {
            // Opened, not created: a missing setting is "No such file", not "Permission denied".
            File::options().write(true).open(&path).and_then(|mut file| file.write_all(value.as_bytes()))
        })?
        .with_context(|| format!("setting {setting} to {value} in {}", self.name))
    }

    fn move_in(&self) -> Result<()> {
        setns(&*self.file, CloneFlags::CLONE_NEWNET)
            .with_context(|| format!("moving a thread into the network namespace {}", self.name))
    }
}

/// Runs `work` on a thread of its own, because its network namespace will differ from everybody else's.
fn on_own_thread<T: Send>(name: &str, work: impl FnOnce() -> T + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let thread = Builder::new()
            .name(thread_name(name))
            .spawn_scoped(scope, work)
            .with_context(|| format!("starting a thread for the network namespace {name}"))?;
        match thread.join() {
            Ok(result) => Ok(result),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

fn refused(name: &str, errno: Errno) -> anyhow::Error {
    let advice = match errno {
        Errno::EPERM => "it takes CAP_SYS_ADMIN: run as root, in a container as a privileged one",
        Errno::ENOSPC => "the limit user.max_net_namespaces is reached",
        Errno::EINVAL => "this kernel was built without network namespaces (CONFIG_NET_NS)",
        _ => "see dmesg for the kernel's reason",
    };
    anyhow!(errno).context(format!("making the network namespace {name}: {advice}"))
}

/// The kernel keeps 15 octets of a thread's name.
fn thread_name(name: &str) -> String {
    name.chars().take(15).collect()
}

/// The calling thread's own network namespace.
const OWN_NAMESPACE: &str = "/proc/thread-self/ns/net";

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_namespace_is_not_ours_and_holds_only_a_loopback() {
        let namespace = Namespace::new("lonely").unwrap();
        let (inside, links) = namespace
            .enter(|| {
                (
                    fs::read_link(OWN_NAMESPACE).unwrap(),
                    fs::read_to_string("/proc/thread-self/net/dev").unwrap(),
                )
            })
            .unwrap();
        assert_ne!(inside, fs::read_link(OWN_NAMESPACE).unwrap());
        let names: Vec<_> =
            links.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name.trim()).collect();
        assert_eq!(names, ["lo"]);
    }

    #[test]
    fn a_started_thread_is_inside_from_its_first_line() {
        let namespace = Namespace::new("inside").unwrap();
        let expected = namespace.enter(|| fs::read_link(OWN_NAMESPACE).unwrap()).unwrap();
        let thread = namespace.spawn("worker", || fs::read_link(OWN_NAMESPACE).unwrap()).unwrap();
        assert_eq!(thread.join().unwrap(), expected);
    }

    #[test]
    fn an_unknown_setting_is_named() {
        let namespace = Namespace::new("settings").unwrap();
        namespace.set("net/ipv4/ip_forward", "1").unwrap();
        let error = namespace.set("net/ipv4/ip_backward", "1").unwrap_err();
        assert!(
            format!("{error:#}").contains("net/ipv4/ip_backward to 1 in settings: No such file"),
            "{error:#}"
        );
    }
}
