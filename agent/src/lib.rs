//! The Node agent: conntrack to IPFIX.
