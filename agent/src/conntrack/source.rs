//! Where connections are read from: the kernel's table, with its events, or Open vSwitch's own.

use std::path::PathBuf;

use crate::conntrack::Entry;
use crate::conntrack::ovs::OvsSocket;
use crate::conntrack::socket::{ConntrackError, Drained, Dump, DumpSocket, EventSocket};

/// Which of the two is read.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum TableSource {
    /// The kernel's connection tracking table.
    #[default]
    Kernel,
    /// That of Open vSwitch's userspace datapath, by its run folder.
    OpenVSwitch(PathBuf),
}

/// An open source.
pub(crate) enum Source {
    /// The kernel's table.
    Kernel {
        /// Asks for dumps.
        dumps: DumpSocket,
        /// Hears of entries that end.
        events: EventSocket,
    },
    /// Open vSwitch's table: dumps alone.
    OpenVSwitch(OvsSocket),
}

impl Source {
    /// Opens it; `connections`: how many are held at most.
    pub(crate) fn open(source: &TableSource, connections: usize) -> Result<Self, ConntrackError> {
        match source {
            // The event socket first: an entry that is born from now on reports its end.
            TableSource::Kernel => {
                let events = EventSocket::open()?;
                Ok(Self::Kernel { events, dumps: DumpSocket::open()? })
            }
            TableSource::OpenVSwitch(folder) => {
                Ok(Self::OpenVSwitch(OvsSocket::new(folder.clone(), connections)))
            }
        }
    }

    /// As [`DumpSocket::dump`].
    pub(crate) fn dump(
        &mut self,
        zone: Option<u16>,
        on_entry: &mut dyn FnMut(&Entry),
    ) -> Result<Dump, ConntrackError> {
        match self {
            Self::Kernel { dumps, .. } => dumps.dump(zone, on_entry),
            Self::OpenVSwitch(socket) => socket.dump(zone, on_entry),
        }
    }

    /// As [`EventSocket::drain`].
    pub(crate) fn drain(
        &mut self,
        on_destroyed: &mut dyn FnMut(&Entry, u32),
    ) -> Result<Drained, ConntrackError> {
        match self {
            Self::Kernel { events, .. } => events.drain(on_destroyed),
            Self::OpenVSwitch(_) => Ok(Drained::default()),
        }
    }

    /// What hears of entries that end, where anything does.
    pub(crate) fn events(&self) -> Option<&EventSocket> {
        match self {
            Self::Kernel { events, .. } => Some(events),
            Self::OpenVSwitch(_) => None,
        }
    }
}
