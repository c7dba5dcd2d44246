//! Other people's programs that read what we send: tshark and libfixbuf's `ipfixDump`.

use std::process::{Command, Stdio};

use anyhow::{Context, bail};

/// What a program printed on its standard output, once it has ended well.
///
/// # Errors
///
/// When it is missing or ends with another status than 0; the error has what it printed on its standard error.
pub fn output(program: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("running {program}; `make deps` installs it"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{program} {}: {}: {said}", arguments.join(" "), output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The packets of a capture file that pass `filter` (all when it is empty), as tshark reads them with IPFIX on `port`:
/// one row a packet, with the wanted fields.
///
/// # Errors
/// As [`output`].
pub fn tshark(capture: &[u8], port: u16, filter: &str, fields: &[&str]) -> anyhow::Result<Vec<Vec<String>>> {
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), capture)?;
    let decode_as = format!("udp.port=={port},cflow");
    let name = file.path().to_string_lossy();
    let mut arguments =
        vec!["-r", &*name, "-d", &decode_as, "-Y", filter, "-T", "fields", "-E", "separator=;"];
    for field in fields {
        arguments.extend(["-e", field]);
    }
    let text = output("tshark", &arguments)?;
    Ok(text.lines().map(|line| line.split(';').map(str::to_owned).collect()).collect())
}
