//! Names of document fields, in the form that they have in a line of JSON.

/// The name of a document field that we write ourselves.
#[derive(Debug)]
pub(crate) struct Key {
    /// Without the `ipfix.` prefix.
    pub(crate) name: &'static str,
    text: KeyText,
}

impl Key {
    /// The key of a name that needs no escape, at most 36 octets long.
    pub(crate) const fn new(name: &'static str) -> Self {
        let mut octets = [0; SHORT_KEY];
        let (head, tail) = (b",\"", b"\":");
        let (name_octets, mut at) = (name.as_bytes(), head.len());
        (octets[0], octets[1]) = (head[0], head[1]);
        while at < head.len() + name_octets.len() {
            octets[at] = name_octets[at - head.len()];
            at += 1;
        }
        (octets[at], octets[at + 1]) = (tail[0], tail[1]);
        #[expect(clippy::cast_possible_truncation, reason = "it was in bounds")]
        Self { name, text: KeyText { octets, length: (at + 2) as u8 } }
    }

    /// Appends `,"name":`.
    #[inline]
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        self.text.write(out);
    }
}

/// The key of a name that needs no escape, made by the compiler.
macro_rules! key {
    ($name:literal) => {
        const { &$crate::document::keys::Key::new($name) }
    };
}

pub(crate) use key;

/// A short text with its length, so that all of it is copied at once.
#[derive(Debug)]
pub(crate) struct KeyText {
    octets: [u8; SHORT_KEY],
    length: u8,
}

impl KeyText {
    /// `None` where the text is longer.
    pub(crate) fn new(text: &[u8]) -> Option<Self> {
        let mut octets = [0; SHORT_KEY];
        octets.get_mut(..text.len())?.copy_from_slice(text);
        Some(Self { octets, length: u8::try_from(text.len()).ok()? })
    }

    /// Appends it.
    #[inline]
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let end = out.len() + usize::from(self.length);
        out.extend_from_slice(&self.octets);
        out.truncate(end);
    }
}

/// Most names of elements and all of ours, with quotes, comma and colon.
const SHORT_KEY: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_as_they_stand_behind_another_field() {
        for (key, name) in [
            (key!("bytes"), "bytes"),
            (key!("egressNetworkPolicyRuleActionStr"), "egressNetworkPolicyRuleActionStr"),
        ] {
            let mut out = b"{".to_vec();
            key.write(&mut out);
            assert_eq!(String::from_utf8(out).unwrap(), format!("{{,\"{name}\":"));
            assert_eq!(key.name, name);
        }
        assert!(KeyText::new(&[b'a'; SHORT_KEY]).is_some());
        assert!(KeyText::new(&[b'a'; SHORT_KEY + 1]).is_none());
    }
}
