//! One segment: an immutable file of columns, and what is known of it without reading them.
//!
//! ```text
//! | tantivy columnar … | facts as JSON | length of facts, 4 octets | xxh3 of all before, 8 octets | "PODFLOW1" |
//! ```
//! A file appears under its final name only when it is whole and on disk, so a crash leaves at most a `.tmp`.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};
use tantivy::HasLen as _;
use tantivy::columnar::{ColumnarReader, DynamicColumn};
use tantivy::directory::{Directory as _, FileSlice, MmapDirectory};
use xxhash_rust::xxh3::xxh3_64;

use super::columns::{self, Kind};

/// The last octets of every segment file; the digit is the layout's version.
pub(crate) const MAGIC: &[u8; 8] = b"PODFLOW1";
/// Octets after the facts: their length, the checksum and [`MAGIC`].
const TAIL: usize = 4 + 8 + 8;
/// Ending of a finished file's name.
pub(crate) const ENDING: &str = "seg";

/// What a segment says of itself.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Facts {
    /// First and last commit that it holds. A file that covers another's commits has replaced it.
    pub(crate) commits: (u64, u64),
    /// Documents in it.
    pub(crate) documents: u32,
    /// Earliest and latest `@timestamp`, milliseconds since 1970.
    pub(crate) timestamps: (i64, i64),
    /// When its last document was committed, milliseconds since 1970.
    pub(crate) committed: i64,
}

/// An open segment.
pub(crate) struct Segment {
    /// Unique in this process; caches are keyed by it.
    pub(crate) serial: u64,
    /// Index and hour it belongs to, such as `2026.11.22T05`.
    pub(crate) slice: String,
    /// Where the file is.
    pub(crate) path: PathBuf,
    /// Size of the file in octets.
    pub(crate) size: u64,
    /// What it says of itself.
    pub(crate) facts: Facts,
    /// Tantivy's reader over the mapped file.
    pub(crate) columns: ColumnarReader,
    fields: OnceLock<Vec<(String, Kind)>>,
}

impl Segment {
    /// Opens `root/relative`; with `verify`, after comparing the checksum of the whole file.
    pub(crate) fn open(
        directory: &MmapDirectory,
        root: &Path,
        relative: &Path,
        serial: u64,
        verify: bool,
    ) -> io::Result<Self> {
        let file = directory.open_read(relative).map_err(io::Error::other)?;
        let (facts, columns) = read(&file, verify)?;
        let columns = ColumnarReader::open(columns)?;
        if columns.num_docs() != facts.documents {
            return Err(damaged("the number of documents differs from the number of rows"));
        }
        let slice = relative.parent().and_then(Path::file_name).unwrap_or_default();
        Ok(Self {
            serial,
            slice: slice.to_string_lossy().into_owned(),
            path: root.join(relative),
            size: file.len() as u64,
            facts,
            columns,
            fields: OnceLock::new(),
        })
    }

    /// The index that it belongs to, such as `flow-2026.11.22`.
    pub(crate) fn index(&self) -> String {
        index_of_slice(&self.slice)
    }

    /// Opens a column by its full name, kind letter included; `None` where no document of this segment has it.
    pub(crate) fn column(&self, name: &str) -> io::Result<Option<DynamicColumn>> {
        self.columns.read_columns(name)?.first().map(|handle| handle.open()).transpose()
    }

    /// The fields with a column in this segment (not the store's own), with their kinds.
    pub(crate) fn fields(&self) -> io::Result<&[(String, Kind)]> {
        if let Some(fields) = self.fields.get() {
            return Ok(fields);
        }
        let mut fields = Vec::new();
        for (name, _) in self.columns.list_columns()? {
            let mut letters = name.chars();
            if let Some(kind) = letters.next().and_then(Kind::from_letter) {
                fields.push((letters.as_str().to_owned(), kind));
            }
        }
        Ok(self.fields.get_or_init(|| fields))
    }
}

/// `flow-2026.11.22` for the slice `2026.11.22T05`.
pub(crate) fn index_of_slice(slice: &str) -> String {
    format!("flow-{}", slice.split('T').next().unwrap_or(slice))
}

/// Appends facts, checksum and magic to the columns in `bytes`.
pub(crate) fn finish(bytes: &mut Vec<u8>, facts: &Facts) -> io::Result<()> {
    let start = bytes.len();
    serde_json::to_writer(&mut *bytes, facts)?;
    let length = u32::try_from(bytes.len() - start).map_err(io::Error::other)?;
    bytes.extend_from_slice(&length.to_be_bytes());
    let checksum = xxh3_64(bytes);
    bytes.extend_from_slice(&checksum.to_be_bytes());
    bytes.extend_from_slice(MAGIC);
    Ok(())
}

/// Writes a finished segment under `path`: into a temporary file, to disk, then the rename, to disk again.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    let written = (|| {
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_data()?;
        fs::rename(&temporary, path)?;
        let parent = path.parent().ok_or_else(|| damaged("a segment outside any folder"))?;
        File::open(parent)?.sync_all()
    })();
    if written.is_err() {
        // What is left of a failed write must not keep a full disk full; the failure itself is what is reported.
        let _removed = fs::remove_file(&temporary);
    }
    written
}

fn read(file: &FileSlice, verify: bool) -> io::Result<(Facts, FileSlice)> {
    let length = file.len();
    if length < TAIL {
        return Err(damaged("shorter than its own tail"));
    }
    let (rest, tail) = file.clone().split(length - TAIL);
    let tail = tail.read_bytes()?;
    let (Some(facts_length), Some(checksum), Some(magic)) = (tail.get(..4), tail.get(4..12), tail.get(12..))
    else {
        return Err(damaged("shorter than its own tail"));
    };
    if magic != MAGIC {
        return Err(damaged("it does not end as a segment of this version ends"));
    }
    let facts_length = u32::from_be_bytes(facts_length.try_into().map_err(io::Error::other)?) as usize;
    if verify {
        let hashed = file.slice_to(length - 16).read_bytes()?;
        if xxh3_64(&hashed).to_be_bytes() != checksum {
            return Err(damaged("its checksum does not match"));
        }
    }
    let Some(columns_length) = rest.len().checked_sub(facts_length) else {
        return Err(damaged("its facts are longer than itself"));
    };
    let (columns, facts) = rest.split(columns_length);
    let facts = serde_json::from_slice(&facts.read_bytes()?)?;
    Ok((facts, columns))
}

fn damaged(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// The column of a field, kind letter first.
pub(crate) fn column_name(kind: Kind, field: &str) -> String {
    debug_assert!(!field.starts_with(columns::SEPARATOR));
    format!("{}{field}", kind.letter())
}
