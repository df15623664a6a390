//! The texts in a class file's constant pool, after chapter 4.4 of the Java Virtual Machine Specification.

/// Every text in the pool; none if the bytes are no class file.
pub(super) fn texts(bytes: &[u8]) -> Vec<String> {
    read(bytes).unwrap_or_default()
}

fn read(bytes: &[u8]) -> Option<Vec<String>> {
    let short = |at: usize| Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
    if bytes.get(..4)? != [0xCA, 0xFE, 0xBA, 0xBE] {
        return None;
    }
    let count = short(8)?;
    let (mut at, mut index) = (10, 1);
    let mut texts = vec![];
    while index < count {
        let size = match bytes.get(at)? {
            1 => {
                let length = usize::from(short(at + 1)?);
                texts.push(String::from_utf8_lossy(bytes.get(at + 3..at + 3 + length)?).into_owned());
                2 + length
            }
            3 | 4 | 9 | 10 | 11 | 12 | 17 | 18 => 4,
            // These take two places in the pool.
            5 | 6 => {
                index += 1;
                8
            }
            7 | 8 | 16 | 19 | 20 => 2,
            15 => 3,
            _ => return None,
        };
        at += 1 + size;
        index += 1;
    }
    Some(texts)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A class file whose pool holds a long and these texts.
    pub(crate) fn class(texts: &[&str]) -> Vec<u8> {
        let mut bytes = vec![0xCA, 0xFE, 0xBA, 0xBE, 0, 0, 0, 61];
        bytes.extend((texts.len() as u16 + 3).to_be_bytes());
        bytes.extend([5, 0, 0, 0, 0, 0, 0, 0, 1]);
        for text in texts {
            bytes.push(1);
            bytes.extend((text.len() as u16).to_be_bytes());
            bytes.extend(text.as_bytes());
        }
        bytes
    }

    #[test]
    fn texts_are_found_behind_other_constants() {
        assert_eq!(texts(&class(&["2.29.6", "x"])), ["2.29.6", "x"]);
        assert!(texts(b"PK").is_empty());
    }

    proptest! {
        #[test]
        fn no_bytes_break_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut class = vec![0xCA, 0xFE, 0xBA, 0xBE, 0, 0, 0, 61];
            class.extend(bytes);
            let _ = texts(&class);
        }
    }
}
