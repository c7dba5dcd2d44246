//! The queues before the decoders: bounded by octets, one decoder for each exporter.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::net::IpAddr;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::Input;

/// A message's room in the queue; given back when the message has been decoded.
pub(crate) type Room = OwnedSemaphorePermit;

/// The queues of all decoders; clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Decoders {
    queues: Arc<[Queue]>,
}

/// The queue before one decoder.
#[derive(Clone, Debug)]
pub(crate) struct Queue {
    inputs: mpsc::Sender<Input>,
    room: Arc<Semaphore>,
}

impl Decoders {
    /// Decoders behind these queues; at least one.
    pub(crate) fn new(queues: Vec<Queue>) -> Self {
        Self { queues: queues.into() }
    }

    /// The queue of an exporter: always the same one, so that its messages stay in order.
    pub(crate) fn of(&self, exporter: IpAddr) -> &Queue {
        &self.queues[place(exporter, self.queues.len())]
    }
}

/// Which of so many decoders an exporter belongs to.
pub(crate) fn place(exporter: IpAddr, decoders: usize) -> usize {
    let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(exporter);
    usize::try_from(hash % decoders as u64).unwrap_or_default()
}

impl Queue {
    /// A queue and its decoder's end.
    pub(crate) fn new() -> (Self, mpsc::Receiver<Input>) {
        let (inputs, decoder) = mpsc::channel(MESSAGES);
        (Self { inputs, room: Arc::new(Semaphore::new(OCTETS / UNIT)) }, decoder)
    }

    /// Hands on a message of so many octets if there is room for it; false where there is none.
    pub(crate) fn offer(&self, octets: usize, input: impl FnOnce(Room) -> Input) -> bool {
        let Ok(room) = Arc::clone(&self.room).try_acquire_many_owned(units(octets)) else { return false };
        self.inputs.try_send(input(room)).is_ok()
    }

    /// Hands on a message of so many octets, as soon as there is room; false where the decoder has ended.
    pub(crate) async fn hand_on(&self, octets: usize, input: impl FnOnce(Room) -> Input) -> bool {
        let Ok(room) = Arc::clone(&self.room).acquire_many_owned(units(octets)).await else { return false };
        self.inputs.send(input(room)).await.is_ok()
    }

    /// Hands on what takes no room.
    pub(crate) async fn tell(&self, input: Input) {
        // The decoder is gone only when everything stops.
        self.inputs.send(input).await.unwrap_or_default();
    }
}

fn units(octets: usize) -> u32 {
    u32::try_from(octets.div_ceil(UNIT).max(1)).unwrap_or(u32::MAX)
}

/// Octets that may wait before a decoder: more than a second of what it can decode.
const OCTETS: usize = 32 << 20;

/// Messages that may wait before a decoder, however short.
const MESSAGES: usize = 32_768;

/// Room is counted in these many octets.
const UNIT: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exporter_always_has_the_same_decoder() {
        let mut used = [0, 0];
        for number in 0..100_u32 {
            let exporter = IpAddr::V4(number.into());
            assert_eq!(place(exporter, 2), place(exporter, 2));
            used[place(exporter, 2)] += 1;
        }
        assert!(used.iter().all(|exporters| *exporters > 20), "{used:?}");
    }

    #[test]
    fn the_bound_is_octets_and_is_given_back() {
        let (queue, mut decoder) = Queue::new();
        let datagram = |room| Input::Datagram {
            from: "127.0.0.1:1".parse().unwrap(),
            received_ms: 0,
            octets: Vec::new(),
            room,
        };
        let largest = 65_535;
        let taken = (0..10_000).take_while(|_| queue.offer(largest, datagram)).count();
        assert_eq!(taken, OCTETS / (largest + 1));
        assert!(!queue.offer(1, datagram), "not even the smallest fits");
        drop(decoder.try_recv().unwrap());
        assert!(queue.offer(largest, datagram));
    }
}
