//! Text from a report, made harmless to show: whatever a target answered may stand in it.

use std::borrow::Cow;
use std::fmt::Write;

/// The text with everything invisible spelled out: control characters other than line break and tab, characters that
/// change the direction of writing, and those that no XML document may hold. `\r\n` becomes `\n`.
pub(super) fn clean(text: &str) -> Cow<'_, str> {
    if !text.chars().any(harmful) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for character in text.replace("\r\n", "\n").chars() {
        if harmful(character) {
            let _ = write!(out, "\\u{{{:x}}}", u32::from(character));
        } else {
            out.push(character);
        }
    }
    Cow::Owned(out)
}

fn harmful(character: char) -> bool {
    (character.is_control() && !matches!(character, '\n' | '\t'))
        || matches!(
            character,
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}'
        )
}

/// The same on one line.
pub(super) fn one_line(text: &str) -> String {
    clean(text).split(['\n', '\t']).map(str::trim).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_spelled_out() {
        assert_eq!(clean("a\u{1b}[2Jb\r\nc\td\r"), "a\\u{1b}[2Jb\nc\td\\u{d}");
        assert_eq!(clean("user\u{202e}gpj.exe\u{0}\u{9b}\u{ffff}"), "user\\u{202e}gpj.exe\\u{0}\\u{9b}\\u{ffff}");
        assert!(matches!(clean("Größe 42 – 日本 🚀"), Cow::Borrowed(_)));
    }

    #[test]
    fn several_lines_become_one() {
        assert_eq!(one_line(" a \n\n b\tc\n"), "a b c");
    }
}
