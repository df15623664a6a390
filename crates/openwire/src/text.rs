//! Java's modified UTF-8: a NUL takes two bytes, and a character outside the basic plane is written as its two
//! surrogates with three bytes each.

/// The bytes of a text.
pub(crate) fn encode(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    for unit in text.encode_utf16() {
        match unit {
            0x01..=0x7F => bytes.push(low(unit)),
            0 | 0x80..=0x7FF => bytes.extend([0xC0 | low(unit >> 6), 0x80 | low(unit & 0x3F)]),
            _ => bytes.extend([0xE0 | low(unit >> 12), 0x80 | low((unit >> 6) & 0x3F), 0x80 | low(unit & 0x3F)]),
        }
    }
    bytes
}

fn low(unit: u16) -> u8 {
    unit.to_be_bytes()[1]
}

/// The text of bytes, or `None` if they are not modified UTF-8. A surrogate without its twin becomes U+FFFD: a broker
/// may send one in a message that it has cut.
pub(crate) fn decode(bytes: &[u8]) -> Option<String> {
    let mut units = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&first, after)) = rest.split_first() {
        let (unit, after) = match first {
            0x00..=0x7F => (u16::from(first), after),
            0xC0..=0xDF => {
                let (low, after) = continuation(after)?;
                ((u16::from(first & 0x1F) << 6) | low, after)
            }
            0xE0..=0xEF => {
                let (middle, after) = continuation(after)?;
                let (low, after) = continuation(after)?;
                ((u16::from(first & 0x0F) << 12) | (middle << 6) | low, after)
            }
            _ => return None,
        };
        units.push(unit);
        rest = after;
    }
    Some(String::from_utf16_lossy(&units))
}

fn continuation(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let (&byte, rest) = bytes.split_first()?;
    (byte & 0xC0 == 0x80).then(|| (u16::from(byte & 0x3F), rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nul_accents_and_emoji_are_written_as_java_writes_them() {
        assert_eq!(encode("s\0cr\u{e9}t\u{1f600}"), b"s\xc0\x80cr\xc3\xa9t\xed\xa0\xbd\xed\xb8\x80");
    }

    #[test]
    fn broken_sequences_are_no_text() {
        for bytes in [&b"\xc3"[..], b"\xe2\x82", b"\x80", b"\xf0\x9f\x98\x80", b"\xc3\x41"] {
            assert_eq!(decode(bytes), None, "{bytes:x?}");
        }
    }

    #[test]
    fn half_a_character_reads_as_the_replacement() {
        assert_eq!(decode(b"a\xed\xa0\xbd").as_deref(), Some("a\u{fffd}"));
    }

    proptest! {
        #[test]
        fn every_text_survives(text in any::<String>()) {
            prop_assert_eq!(decode(&encode(&text)), Some(text));
        }

        #[test]
        fn any_bytes_decode_or_do_not(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
        }
    }
}
