//! A report in a log: lines between two markers. A log mixes both streams of a container, so each line of the report says
//! that it is one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fmt::Write as _;

const BEGIN: &str = "-----BEGIN EKS-PREFLIGHT REPORT ";
const END: &str = "-----END EKS-PREFLIGHT REPORT ";
const TAIL: &str = "-----";

/// Before each line of the report.
const PREFIX: &str = "eks-preflight-report: ";

/// How many characters of the report are on one line.
const LINE: usize = 120;

/// A report that was found in a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) run_id: String,
    /// The digest that the unpacked report must have.
    pub(crate) sha256: String,
    /// The compressed report.
    pub(crate) bytes: Vec<u8>,
}

/// A frame around a compressed report.
pub(super) fn text(run_id: &str, sha256: &str, bytes: &[u8]) -> String {
    let mark = format!("run={run_id} sha256={sha256}{TAIL}");
    let encoded = STANDARD.encode(bytes);
    let mut text = format!("{BEGIN}{mark}\n");
    for line in encoded.as_bytes().chunks(LINE) {
        let _ = writeln!(text, "{PREFIX}{}", String::from_utf8_lossy(line));
    }
    let _ = writeln!(text, "{END}{mark}");
    text
}

/// The whole frames of a log, in order. One that was cut off is none.
pub(crate) fn frames(log: &str) -> Vec<Frame> {
    let mut found = vec![];
    let mut open: Option<(&str, String)> = None;
    for line in log.lines() {
        if let Some(mark) = line.strip_prefix(BEGIN) {
            open = Some((mark, String::new()));
        } else if let Some(mark) = line.strip_prefix(END) {
            let closed = open.take().filter(|(opened, _)| *opened == mark);
            found.extend(closed.and_then(|(mark, encoded)| frame(mark, &encoded)));
        } else if let (Some((_, encoded)), Some(part)) = (&mut open, line.strip_prefix(PREFIX)) {
            encoded.push_str(part.trim_end());
        }
    }
    found
}

fn frame(mark: &str, encoded: &str) -> Option<Frame> {
    let (run_id, sha256) = mark.strip_suffix(TAIL)?.strip_prefix("run=")?.split_once(" sha256=")?;
    let bytes = STANDARD.decode(encoded).ok()?;
    Some(Frame { run_id: run_id.to_owned(), sha256: sha256.to_owned(), bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_found_among_other_lines_and_a_cut_one_is_not() {
        let bytes: Vec<u8> = (0..=255).cycle().take(1_000).collect();
        let whole = text("0192", "ab", &bytes);
        let mixed = whole.replace(&format!("\n{PREFIX}"), &format!("\nwarning: something\n{PREFIX}"));
        let log = format!("starting\n{mixed}done\n");
        let frame = Frame { run_id: "0192".to_owned(), sha256: "ab".to_owned(), bytes };
        assert_eq!(frames(&log), std::slice::from_ref(&frame));
        assert_eq!(frames(&whole.replace(END, "")), []);
        let cut = &whole[..whole.len() / 2];
        assert_eq!(frames(&format!("{cut}\n{whole}")), [frame]);
        assert_eq!(frames(&whole.replacen("sha256=ab", "sha256=cd", 1)), []);
    }
}
