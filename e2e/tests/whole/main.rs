//! The tests of the whole, one module a subject, in one program that is linked once.
#![expect(clippy::unwrap_used, reason = "tests")]

mod export;

mod nfdump;

mod exporters;

mod dependencies;

mod stores;

mod ingest;

mod settings;

mod mixed;

mod battery;

mod decode;

mod truth;

mod both_sides;

mod busy;

mod scale;

mod page;

mod panels;

mod manifests;
