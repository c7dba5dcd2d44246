//! Agreement with other people's programs on the same octets, value by value.

mod files;

mod ours;

mod tshark;

mod fixbuf;

mod lists;

mod python;
