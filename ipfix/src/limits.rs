//! What a peer may make us keep or do, and why no more.

/// Bounds of a collecting session. The defaults are far beyond what real exporters need.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Fields of one template. IANA has about 500 elements.
    pub fields_per_template: usize,
    /// Templates of one session, all its observation domains together. Big routers define some hundreds, our agents
    /// fewer than ten.
    pub templates_per_session: usize,
    /// Observation domains of one session. A chassis has one for each line card; a proxy has one for each exporter
    /// behind it.
    pub domains_per_session: usize,
    /// Lists within lists (RFC 6313 section 4 names no bound; its examples go three deep).
    pub list_depth: usize,
    /// Values of one message. With one octet a value, 65,535 octets hold no more than that many; only templates
    /// of fields without octets reach further.
    pub values_per_message: usize,
    /// Octets of data sets held for templates to come, in one session: some 200 datagrams, a minute of a small Node
    /// whose template was lost. 16,384 sessions could hold 4 GB together, if all of them had lost theirs at once.
    pub held_octets: usize,
    /// How long a data set is held for its template, milliseconds: two refreshes of our agents, which send templates
    /// every 30 s.
    pub held_age_ms: u64,
    /// How long a UDP template lives without a refresh, milliseconds (RFC 7011 section 8.4: at least three
    /// refreshes; routers refresh every 10 minutes).
    pub template_lifetime_ms: u64,
    /// Sessions of one UDP socket: three times the Nodes of the largest supported cluster. A session that has been
    /// silent longest gives way.
    pub udp_sessions: usize,
    /// After what silence a UDP session is forgotten, milliseconds: twice a template's life, since a session without
    /// templates is worth nothing.
    pub udp_session_idle_ms: u64,
    /// Elements that an exporter may describe with RFC 5610 records, in one session: more than all that IANA knows.
    pub announced_elements: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            fields_per_template: 1_024,
            templates_per_session: 4_096,
            domains_per_session: 1_024,
            list_depth: 8,
            values_per_message: 4 * 65_536,
            held_octets: 256 * 1_024,
            held_age_ms: 60_000,
            template_lifetime_ms: 30 * 60_000,
            udp_sessions: 16_384,
            udp_session_idle_ms: 60 * 60_000,
            announced_elements: 4_096,
        }
    }
}
