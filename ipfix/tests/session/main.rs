//! Sessions as their peers see them: octets in, records out, and back.

mod support;

mod messages;

mod values;

mod golden;

mod lists;

mod templates;

mod options;

mod netflow;

mod joined;

mod property;

mod files;

mod bounds;

mod corpus;

mod conformance;

mod link;

mod scale;
