//! The collector's documents, made by the collector's own code.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use ipnet::IpNet;
use podflow_cluster::{Directory, Inventory};
use podflow_collector::document::model::Document;
use podflow_collector::document::names::Members;
use podflow_collector::document::shape::{Origin, Window};
use podflow_collector::document::unknown::UnknownNames;
use podflow_collector::document::{Builder, Drafted};
use podflow_ipfix::collect::DataRecord;

/// Makes documents of records.
pub(super) struct Documents {
    builder: Builder,
}

impl Documents {
    /// Names come from the inventory; without one only those that the records carry are there.
    pub(super) fn new(inventory: Option<&Path>, cluster: &str) -> Result<Self> {
        let directory = Arc::new(Directory::default());
        let mut named = Vec::new();
        if let Some(path) = inventory {
            // Owners hold for all times: a file may be of any day.
            directory.replace(Inventory::read(path)?, 0);
            // Whoever gives an inventory says that the addresses are those of its cluster, whichever exporter saw them.
            named = [IpAddr::from([0; 4]), IpAddr::from([0; 16])].map(everywhere).to_vec();
        }
        let members = Members::new(cluster, named);
        let window = Window { past: A_LONG_TIME, future: A_LONG_TIME };
        Ok(Self { builder: Builder::new(directory, members, window, Arc::new(UnknownNames::default())) })
    }

    /// The document of a record; none where the collector would drop it for the other side's copy.
    pub(super) fn make<'a>(
        &mut self,
        record: &DataRecord<'a>,
        exporter: IpAddr,
        received_ms: Option<u64>,
    ) -> Option<Document<'a>> {
        let received_ms = received_ms.unwrap_or_else(|| u64::from(record.export_time()) * 1_000);
        let received_ms = i64::try_from(received_ms).unwrap_or(i64::MAX);
        let origin = Origin::of(record, exporter, received_ms, 0);
        match self.builder.draft(&origin, record.fields()) {
            Drafted::Ready(draft) | Drafted::Unnamed(draft) => Some(self.builder.finish(draft).0),
            Drafted::OtherSide => None,
        }
    }
}

fn everywhere(any: IpAddr) -> IpNet {
    IpNet::new_assert(any, 0)
}

/// A recorded message may be of any time: its own export time always counts.
const A_LONG_TIME: Duration = Duration::from_secs(1_000 * 365 * 86_400);
