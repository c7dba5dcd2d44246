//! The request for a dump of the table, written by `netlink-packet-netfilter`.

use netlink_packet_core::{
    DefaultNla, NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_netfilter::conntrack::{ConntrackAttribute, ConntrackMessage};
use netlink_packet_netfilter::{NetfilterHeader, NetfilterMessage, NetfilterProtoFamily};

use crate::conntrack::entry::CTA_ZONE;

/// The octets of a request for all entries of both address families; with `zone`, only those of that zone. Kernels
/// before 6.8 ignore the zone without an error, so every entry's zone is looked at again.
pub(crate) fn dump(zone: Option<u16>, sequence: u32) -> Vec<u8> {
    let filter =
        zone.map(|zone| ConntrackAttribute::Other(DefaultNla::new(CTA_ZONE, zone.to_be_bytes().to_vec())));
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    header.sequence_number = sequence;
    let mut message = NetlinkMessage::new(
        header,
        NetlinkPayload::from(NetfilterMessage::new(
            NetfilterHeader::new(NetfilterProtoFamily::Unspec, 0, 0),
            ConntrackMessage::Get(filter.into_iter().collect()),
        )),
    );
    message.finalize();
    let mut octets = vec![0; message.buffer_len()];
    message.serialize(&mut octets);
    octets
}
