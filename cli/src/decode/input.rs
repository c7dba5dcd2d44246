//! Which format a file has, and its way into the decoder.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use podflow_capture::{CaptureFile, Reassembly};

use super::decoder::Decoder;
use super::output::{Lines, Output};
use super::progress::{Counted, Progress};

/// An open file of a known format.
pub(super) enum Input<'p> {
    /// pcap or pcapng.
    Capture(Box<CaptureFile<Source<'p>>>),
    /// IPFIX messages one after the other (RFC 5655).
    Messages(Box<Source<'p>>),
}

/// The file's first octets, read to tell its format, and the rest.
type Source<'p> = io::Chain<Cursor<[u8; 4]>, BufReader<Counted<'p>>>;

impl<'p> Input<'p> {
    /// Opens a file, `-` for standard input, and looks at its first octets.
    pub(super) fn open(path: &Path, progress: &'p Progress, lines: Lines<'p>) -> Result<Self> {
        let file: Box<dyn Read> = if path == Path::new("-") {
            Box::new(io::stdin())
        } else {
            Box::new(File::open(path).context("opening it")?)
        };
        let mut reader = BufReader::with_capacity(READ_AHEAD, progress.counted(lines, file));
        let magic = first_octets(&mut reader)?;
        let source = Cursor::new(magic).chain(reader);
        if CaptureFile::<Source<'_>>::is_capture(magic) {
            return Ok(Input::Capture(Box::new(CaptureFile::open(magic, source)?)));
        }
        match magic {
            [0, 10, ..] => Ok(Input::Messages(Box::new(source))),
            [0, 5 | 9, ..] => {
                bail!("a file of bare NetFlow messages does not say where one ends; give a capture (pcap)")
            }
            [0x1f, 0x8b, ..] | [0x28, 0xb5, 0x2f, 0xfd] | [0xfd, b'7', b'z', b'X'] => {
                bail!("it is compressed; unpack it on the way: zcat FILE | podflow decode -")
            }
            _ => bail!("neither IPFIX (RFC 5655) nor pcap nor pcapng: it begins with {magic:02x?}"),
        }
    }

    /// Reads the file to its end.
    pub(super) fn read(self, decoder: &mut Decoder, output: &mut Output<'_>) -> Result<()> {
        match self {
            Input::Capture(file) => read_capture(*file, decoder, output),
            Input::Messages(source) => read_messages(*source, decoder, output),
        }
    }
}

/// The octets that tell the format.
fn first_octets(reader: &mut impl Read) -> Result<[u8; 4]> {
    let mut magic = Vec::new();
    reader.take(4).read_to_end(&mut magic).context("reading it")?;
    match <[u8; 4]>::try_from(&magic[..]) {
        Ok(magic) => Ok(magic),
        Err(_) if magic.is_empty() => bail!("it is empty"),
        Err(_) => bail!("{} octets are too few for IPFIX, pcap or pcapng", magic.len()),
    }
}

fn read_capture(
    mut file: CaptureFile<Source<'_>>,
    decoder: &mut Decoder,
    output: &mut Output<'_>,
) -> Result<()> {
    let mut reassembly = Reassembly::new();
    let mut failed = None;
    while let Some(frame) = file.next_frame() {
        match frame {
            Ok(frame) => reassembly.take(&frame, &mut |event| decoder.take(event, output)),
            Err(error) => {
                failed = Some(error);
                break;
            }
        }
        output.check()?;
    }
    let losses = reassembly.finish(&mut |event| decoder.take(event, output));
    decoder.tally.capture_lost(losses);
    decoder.end_of_file();
    output.check()?;
    failed.map_or(Ok(()), |error| Err(error.into()))
}

fn read_messages(mut source: Source<'_>, decoder: &mut Decoder, output: &mut Output<'_>) -> Result<()> {
    let mut file = decoder.message_file();
    let mut buffer = vec![0; READ_AHEAD];
    loop {
        let octets = match source.read(&mut buffer) {
            Ok(octets) => octets,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                // What came before is decoded, and counted to its end.
                file.end(decoder);
                return Err(error).context("reading it");
            }
        };
        if octets == 0 {
            break;
        }
        file.octets(buffer.get(..octets).unwrap_or_default(), decoder, output);
        output.check()?;
    }
    file.end(decoder);
    Ok(())
}

/// Octets read at once.
const READ_AHEAD: usize = 64 * 1_024;
