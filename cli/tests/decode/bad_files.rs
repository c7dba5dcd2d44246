//! Files that cannot be read, or not to their end: one sentence each, and what was good is printed.

use std::fs;
use std::process::Command;

use crate::program::{captures, decode, recorded, run};

#[test]
fn a_file_that_is_none_of_ours_gets_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let cases: [(&str, Option<&[u8]>, &str); 8] = [
        ("missing", None, "opening it: No such file or directory (os error 2)"),
        ("empty", Some(b""), "it is empty"),
        ("short", Some(b"\x00\x0a"), "2 octets are too few for IPFIX, pcap or pcapng"),
        (
            "text",
            Some(b"hello"),
            "neither IPFIX (RFC 5655) nor pcap nor pcapng: it begins with [68, 65, 6c, 6c]",
        ),
        (
            "v9",
            Some(b"\x00\x09\x00\x01"),
            "a file of bare NetFlow messages does not say where one ends; give a capture (pcap)",
        ),
        (
            "gzip",
            Some(b"\x1f\x8b\x08\x00"),
            "it is compressed; unpack it on the way: zcat FILE | podflow decode -",
        ),
        ("header", Some(b"\xa1\xb2\xc3\xd4\x00\x02"), "the capture file ends at octet 6, within its header"),
        (
            "section",
            Some(b"\x0a\x0d\x0d\x0a\x00"),
            "the capture file ends at octet 5, within a block's header",
        ),
    ];
    let good = folder.path().join("good");
    fs::write(&good, recorded("softflowd-v10").concat()).unwrap();
    for (name, octets, sentence) in cases {
        let path = folder.path().join(name);
        if let Some(octets) = octets {
            fs::write(&path, octets).unwrap();
        }
        // One bad file does not keep the next from being read.
        let printed = decode([&path, &good]);
        assert_eq!(printed.err, format!("podflow: {}: {sentence}\n", path.display()));
        assert_eq!((printed.code, printed.lines().len()), (Some(1), 60), "{name}");
    }
    let printed = decode([folder.path()]);
    let sentence =
        format!("podflow: {}: reading it: Is a directory (os error 21)\n", folder.path().display());
    assert_eq!((printed.code, printed.err), (Some(1), sentence));
}

#[test]
fn a_capture_cut_at_its_end_gives_what_was_whole() {
    let folder = captures("softflowd-v10");
    let whole = folder.path().join("ethernet.pcap");
    let pcapng = folder.path().join("ethernet.pcapng");
    run(Command::new("editcap").args(["-F", "pcapng"]).args([&whole, &pcapng]), "tshark");
    let all = decode([&whole]).lines();
    for whole in [whole, pcapng] {
        let octets = fs::read(&whole).unwrap();
        let cut = folder.path().join("cut");
        fs::write(&cut, &octets[..octets.len() - 10]).unwrap();
        let printed = decode([&cut]);
        assert_eq!(printed.code, Some(1));
        let told = format!(
            "podflow: {}: the capture file ends at octet {}, within a packet\n",
            cut.display(),
            octets.len() - 10
        );
        assert_eq!(printed.err, told);
        let lines = printed.lines();
        assert!(lines.len() > 50, "{}", lines.len());
        assert_eq!(lines, all[..lines.len()]);
    }
}

#[test]
fn a_file_of_messages_cut_or_damaged_gives_the_other_messages() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    let messages = recorded("softflowd-v10");
    fs::write(&file, &messages.concat()[..messages.concat().len() - 1]).unwrap();
    let cut = decode([&file]);
    assert_eq!(cut.err, "lost: 1 × cut_at_the_end; the first: the last message is not whole\n");
    assert_eq!((cut.code, cut.lines().len()), (Some(1), 56), "the last message has four records");
    // The second message's length is damaged: the file is read on at the third.
    let mut damaged = messages.clone();
    damaged[1][2..4].copy_from_slice(&[0, 7]);
    fs::write(&file, damaged.concat()).unwrap();
    let printed = decode([&file]);
    assert!(printed.err.starts_with("lost: 1 × framing; the first: "), "{}", printed.err);
    assert_eq!(printed.err.lines().count(), 1, "{}", printed.err);
    assert_eq!(printed.code, Some(1));
    let in_second = 60 - printed.lines().len();
    assert!((1..60).contains(&in_second), "{in_second}");
    let without: Vec<u8> = [&messages[0][..], &messages[2]].concat();
    fs::write(&file, without).unwrap();
    assert_eq!(decode([&file]).lines(), printed.lines());
}

#[test]
fn what_is_not_in_a_stream_is_told_and_reading_goes_on_at_the_next_message() {
    let folder = captures("softflowd-v10");
    let all = decode([folder.path().join("tcp.pcap")]).documents();
    // A segment of the first message is missing, which has the templates: nothing can be decoded.
    let gap = decode([folder.path().join("tcp-gap.pcap")]);
    assert_eq!(gap.code, Some(1));
    assert!(gap.err.contains("lost: 1 × stream_gap; the first: octets of a TCP stream were not captured"));
    assert!(gap.err.contains("lost: 2 × no_template"), "{}", gap.err);
    // The beginning was not captured: the same.
    let middle = decode([folder.path().join("tcp-middle.pcap")]);
    assert!(
        middle.err.contains("lost: 1 × stream_gap") && middle.err.contains("no_template"),
        "{}",
        middle.err
    );
    // The connection ended within the first message.
    let reset = decode([folder.path().join("tcp-reset.pcap")]);
    assert!(reset.err.contains("lost: 1 × cut_at_the_end"), "{}", reset.err);
    // A connection begun anew brings its templates with it.
    let twice = decode([folder.path().join("tcp-ports-again.pcap")]).documents();
    assert_eq!(twice.len(), 2 * all.len());
}

#[test]
fn lost_fragments_cut_frames_and_foreign_links_are_told_with_their_number() {
    let folder = captures("softflowd-v10");
    let missing = decode([folder.path().join("fragments-missing.pcap")]);
    assert_eq!(missing.code, Some(1));
    assert!(
        missing.err.contains("lost: 2 × fragments; the first: a packet whose other fragments"),
        "{}",
        missing.err
    );
    let edited = |arguments: &[&str]| {
        let path = folder.path().join("edited");
        run(
            Command::new("editcap").args(arguments).args([&folder.path().join("ethernet.pcap"), &path]),
            "tshark",
        );
        decode([path])
    };
    let cut = edited(&["-F", "pcap", "-s", "300"]);
    assert!(cut.err.contains("lost: 2 × datagram_cut; the first: the capture holds less"), "{}", cut.err);
    let short = edited(&["-F", "pcap", "-s", "36"]);
    assert_eq!(
        short.err,
        "lost: 3 × frame_cut; the first: a frame of which the capture holds too little to tell what is in it\n"
    );
    let wireless = edited(&["-F", "pcap", "-T", "ieee-802-11"]);
    assert_eq!(wireless.err, "lost: 3 × link_type; the first: a frame of a link type that is not read\n");
    assert_eq!((wireless.code, &*wireless.out), (Some(1), ""));
}

#[test]
fn a_malformed_message_is_told_with_its_place_and_the_others_are_decoded() {
    let folder = captures("softflowd-v10");
    let path = folder.path().join("ethernet.pcap");
    let mut octets = fs::read(&path).unwrap();
    // The length of the second message's first set.
    let second = &recorded("softflowd-v10")[1];
    let place = octets.windows(second.len()).position(|window| window == second).unwrap();
    octets[place + 18..place + 20].copy_from_slice(&[0xff, 0xff]);
    fs::write(&path, octets).unwrap();
    let printed = decode(["--stats", &path.to_string_lossy()]);
    assert_eq!(printed.code, Some(1));
    assert!(printed.err.contains("octet 16") || printed.err.contains("byte 16"), "{}", printed.err);
    let row: Vec<&str> = printed.err.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!((row[0], row[8]), ("10.1.0.1", "1"), "one malformed");
    assert!(printed.lines().len() > 20);
}
