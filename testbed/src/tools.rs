//! The three programs that speak to the kernel for us: `ip`, `nft` and `conntrack`.
//!
//! They are run from a thread inside the namespace they act on. A missing one is reported with the package
//! that has it, a failing one with what it said.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::namespace::Namespace;

/// A program the testbed needs, with the Debian package it comes in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Tool {
    /// The name of the program.
    pub program: &'static str,
    /// The package that installs it.
    pub package: &'static str,
}

/// Links, addresses and routes.
pub const IP: Tool = Tool { program: "ip", package: "iproute2" };
/// Zones, Services and counters.
pub const NFT: Tool = Tool { program: "nft", package: "nftables" };
/// What the kernel tracked.
pub const CONNTRACK: Tool = Tool { program: "conntrack", package: "conntrack" };

/// Checks that all of `tools` are installed.
///
/// # Errors
/// One message that names every missing program and its package.
pub fn check(tools: &[Tool]) -> Result<()> {
    check_in(tools, &search_path())
}

/// Runs `tool` inside `namespace`, feeds it `input`, and gives back what it wrote to stdout.
///
/// # Errors
/// When it is missing, cannot be started, or fails: then with what it wrote to stderr.
pub fn run(namespace: &Namespace, tool: Tool, arguments: &[&str], input: &str) -> Result<String> {
    let what = || format!("running `{} {}` in {}", tool.program, arguments.join(" "), namespace.name());
    namespace.enter(|| run_here(tool, arguments, input)).with_context(what)?.with_context(what)
}

fn run_here(tool: Tool, arguments: &[&str], input: &str) -> Result<String> {
    let mut child = command(tool)?
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    // Our inputs are read whole before anything is written, and are far below a pipe's 64 KiB of answers.
    let fed = child.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output()?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {}", output.status, complaint.trim());
    fed.context("handing over its input")?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A command that is not run yet.
pub(crate) fn command(tool: Tool) -> Result<Command> {
    find(tool, &search_path()).map(Command::new).with_context(|| missing(&[tool]))
}

fn check_in(tools: &[Tool], path: &[PathBuf]) -> Result<()> {
    let absent: Vec<_> = tools.iter().copied().filter(|tool| find(*tool, path).is_none()).collect();
    if !absent.is_empty() {
        bail!(missing(&absent));
    }
    Ok(())
}

fn missing(tools: &[Tool]) -> String {
    let programs: Vec<_> = tools.iter().map(|tool| format!("`{}`", tool.program)).collect();
    let packages: Vec<_> = tools.iter().map(|tool| tool.package).collect();
    let (verb, noun) = if tools.len() == 1 { ("is", "package") } else { ("are", "packages") };
    let packages = packages.join(" ");
    format!(
        "{} {verb} not installed: install the {noun} {packages} (apt-get install {packages})",
        programs.join(", ")
    )
}

fn find(tool: Tool, path: &[PathBuf]) -> Option<PathBuf> {
    path.iter().map(|folder| folder.join(tool.program)).find(|program| program.is_file())
}

/// The user's `PATH`, and the folders for administrators that a plain user's lacks.
fn search_path() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_missing_program_is_named_with_its_package() {
        let error = check_in(&[IP, NFT, CONNTRACK], &[PathBuf::from("/nowhere")]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`ip`, `nft`, `conntrack` are not installed: install the packages iproute2 nftables conntrack \
             (apt-get install iproute2 nftables conntrack)"
        );
        let error = check_in(&[NFT], &[]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`nft` is not installed: install the package nftables (apt-get install nftables)"
        );
    }

    #[test]
    fn a_failing_program_is_quoted() {
        let namespace = Namespace::new("quoted").unwrap();
        let error = run(&namespace, NFT, &["-f", "-"], "nonsense\n").unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains("running `nft -f -` in quoted"), "{text}");
        assert!(text.contains("syntax error"), "{text}");
    }
}
