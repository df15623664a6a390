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
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{fffe}'
                | '\u{ffff}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// The same on one line.
pub(crate) fn one_line(text: &str) -> String {
    clean(text).split(['\n', '\t']).map(str::trim).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

/// JSON with the same characters, and what Azure takes for a command, spelled out as JSON does. They stand within strings
/// alone.
pub(super) fn clean_json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for character in json.chars() {
        if harmful(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(character);
        }
    }
    out.replace("##", "#\\u0023")
}

/// A text of several lines for a log that a CI system reads: GitHub obeys a line that starts with two colons, Azure one
/// with `##[` or `##vso[` in it. `colon` and `hash` are written instead of the one that makes the command.
pub(super) fn disobeyed(text: &str, colon: &str, hash: &str) -> String {
    let line = |line: &str| {
        let start = line.len() - line.trim_start().len();
        match line[start..].strip_prefix("::") {
            Some(rest) => format!("{}{colon}:{rest}", &line[..start]),
            None => line.to_owned(),
        }
    };
    text.split('\n').map(line).collect::<Vec<_>>().join("\n").replace("##", &format!("#{hash}"))
}

/// For standard error and other plain text.
pub(super) fn clean_log(text: &str) -> String {
    disobeyed(&clean(text), "\\u{3a}", "\\u{23}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_keeps_its_meaning() {
        let value = serde_json::json!({ "a\u{9b}b": ["\u{7f}\u{202e}\u{e0041}\n\u{1b}ß###[", 1.5] });
        let text = clean_json(&format!("{value:#}"));
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
        assert!(
            !text.chars().any(harmful) && text.contains("\\u009b") && text.contains('ß') && !text.contains("##"),
            "{text}"
        );
    }

    #[test]
    fn no_line_of_a_log_is_a_command() {
        assert_eq!(
            clean_log("a::b\n::error::x\n  ::stop\n##[error]"),
            "a::b\n\\u{3a}:error::x\n  \\u{3a}:stop\n#\\u{23}[error]"
        );
        assert_eq!(clean_log("x\u{1b}[31m"), "x\\u{1b}[31m");
    }

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
