//! What the fuzz target does, so that plain tests can replay what it found. Not for other use.

use crate::file::CaptureFile;
use crate::reassembly::{Event, Reassembly};

/// Reads any octets as a capture file and everything in it; answers how many octets came out.
pub fn capture(octets: &[u8]) -> usize {
    let Some(magic) = octets.first_chunk::<4>() else { return 0 };
    let Ok(mut file) = CaptureFile::open(*magic, octets) else { return 0 };
    let (mut reassembly, mut came_out) = (Reassembly::new(), 0);
    let mut count = |event: Event<'_>| {
        came_out += match event {
            Event::Datagram { octets, .. } | Event::Octets { octets, .. } => octets.len(),
            Event::Gap { .. } | Event::End { .. } => 0,
        };
    };
    while let Some(Ok(frame)) = file.next_frame() {
        reassembly.take(&frame, &mut count);
    }
    reassembly.finish(&mut count);
    assert!(came_out <= octets.len(), "nothing comes out twice");
    came_out
}
