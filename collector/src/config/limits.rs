//! The section `limits`: what an exporter may make the decoders keep or do. The reasons of the defaults are in
//! `podflow_ipfix::Limits`.

use std::time::Duration;

use podflow_ipfix::Limits;

use super::section::Section;

/// Reads the section; what is not there keeps its default.
pub(super) fn limits(table: &mut Section<'_>) -> Limits {
    let normal = Limits::default();
    Limits {
        // 16,000 fields of four octets fill a message.
        fields_per_template: number(table, "fieldsPerTemplate", normal.fields_per_template, 16_384),
        templates_per_session: number(table, "templatesPerSession", normal.templates_per_session, 65_280),
        domains_per_session: number(table, "domainsPerSession", normal.domains_per_session, 1 << 20),
        // Each level is a call within a call, on a stack of 2 MB.
        list_depth: number(table, "listDepth", normal.list_depth, 64),
        values_per_message: number(table, "valuesPerMessage", normal.values_per_message, 1 << 24),
        held_octets: octets(table, "heldBytes", normal.held_octets),
        held_age_ms: age(table, "heldAge", normal.held_age_ms),
        template_lifetime_ms: age(table, "templateLifetime", normal.template_lifetime_ms),
        udp_session_idle_ms: age(table, "udpSessionIdle", normal.udp_session_idle_ms),
        announced_elements: number(table, "announcedElements", normal.announced_elements, 1 << 20),
        // `listen.sessions` says it, shared out to the decoders.
        udp_sessions: normal.udp_sessions,
    }
}

fn number(table: &mut Section<'_>, key: &'static str, default: usize, most: u64) -> usize {
    usize::try_from(table.number(key, default as u64, 1..=most)).unwrap_or(default)
}

fn octets(table: &mut Section<'_>, key: &'static str, default: usize) -> usize {
    // No data is held with 0; a session that holds more than 1 GB is a denial of service by itself.
    usize::try_from(table.size(key, default as u64, 0..=1 << 30)).unwrap_or(default)
}

fn age(table: &mut Section<'_>, key: &'static str, default_ms: u64) -> u64 {
    let bounds = Duration::from_secs(1)..=Duration::from_secs(30 * 86_400);
    let age = table.duration(key, Duration::from_millis(default_ms), bounds);
    u64::try_from(age.as_millis()).unwrap_or(default_ms)
}

#[cfg(test)]
mod tests {
    use podflow_ipfix::Limits;

    use crate::config::Config;

    #[test]
    fn every_limit_can_be_set_and_has_its_default() {
        assert_eq!(Config::parse("").unwrap().limits, Limits::default());
        let text = "limits: {fieldsPerTemplate: 1, templatesPerSession: 2, domainsPerSession: 3, listDepth: 4, \
                    valuesPerMessage: 5, heldBytes: 6, heldAge: 7s, templateLifetime: 8s, udpSessionIdle: 9s, \
                    announcedElements: 10}";
        let expected = Limits {
            fields_per_template: 1,
            templates_per_session: 2,
            domains_per_session: 3,
            list_depth: 4,
            values_per_message: 5,
            held_octets: 6,
            held_age_ms: 7_000,
            template_lifetime_ms: 8_000,
            udp_session_idle_ms: 9_000,
            announced_elements: 10,
            ..Limits::default()
        };
        assert_eq!(Config::parse(text).unwrap().limits, expected);
    }

    #[test]
    fn what_is_out_of_bounds_or_unknown_is_told() {
        let error = Config::parse("limits: {listDepth: 65, heldAge: 10ms, templateLifetme: 1h}").unwrap_err();
        let faults = error.faults().join("\n");
        for key in ["limits.listDepth", "limits.heldAge", "did you mean \"templateLifetime\"?"] {
            assert!(faults.contains(key), "{faults}");
        }
    }
}
