//! Captures made by other people's programs, read by us: scapy, editcap, mergecap, text2pcap, tcpdump.

mod files;

mod datagrams;

mod streams;

mod formats;

mod damaged;
