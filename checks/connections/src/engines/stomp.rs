//! The three frames of STOMP 1.2 that a client needs to be let in and to leave.

/// The largest answer that is read.
pub(super) const FRAME_BYTES_MAX: usize = 64 * 1024;

const RECEIPT: &str = "bye";

/// Logs in. Headers of this frame are not escaped, so a line break in one of them is an error.
pub(super) fn connect(
    client_id: &str,
    username: Option<&str>,
    password: Option<&str>,
) -> Result<Vec<u8>, &'static str> {
    let mut frame = String::from("CONNECT\naccept-version:1.2\nhost:/\nheart-beat:0,0\n");
    for (name, value) in [("client-id", Some(client_id)), ("login", username), ("passcode", password)] {
        let Some(value) = value else { continue };
        if value.contains(['\n', '\r', '\0']) {
            return Err("user names and passwords of STOMP hold no line breaks");
        }
        frame.push_str(&format!("{name}:{value}\n"));
    }
    frame.push_str("\n\0");
    Ok(frame.into_bytes())
}

/// Logs out and asks for a receipt.
pub(super) fn disconnect() -> Vec<u8> {
    format!("DISCONNECT\nreceipt:{RECEIPT}\n\n\0").into_bytes()
}

/// What a broker answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// The client is let in; what the server calls itself.
    Connected { server: String },
    /// The server has heard the farewell.
    Receipt,
    /// No, and why.
    Error { text: String },
    /// Another frame.
    Other { command: String },
}

/// Reads the first frame off the front of bytes, or nothing if it is not whole yet. Line breaks between frames are signs
/// of life. Gives the frame and how many bytes it took.
pub(super) fn parse(bytes: &[u8]) -> Option<(Reply, usize)> {
    let start = bytes.iter().position(|byte| !matches!(byte, b'\n' | b'\r'))?;
    let length = bytes[start..].iter().position(|byte| *byte == 0)?;
    let text = String::from_utf8_lossy(&bytes[start..start + length]);
    let mut lines = text.lines();
    let command = lines.next().unwrap_or_default().trim_end();
    let header = |name: &str| {
        let headers = text.lines().skip(1).take_while(|line| !line.trim_end().is_empty());
        headers
            .filter_map(|line| line.trim_end().split_once(':'))
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
    };
    let reply = match command {
        "CONNECTED" => Reply::Connected { server: header("server").unwrap_or("a STOMP server").to_owned() },
        "RECEIPT" if header("receipt-id") == Some(RECEIPT) => Reply::Receipt,
        "ERROR" => {
            let body = text.split_once("\n\n").map_or("", |(_, body)| body.lines().next().unwrap_or_default());
            let message = header("message").unwrap_or_default();
            let text = match (message, body) {
                (message, "") => message.to_owned(),
                (message, body) if body.contains(message) => body.to_owned(),
                (message, body) => format!("{message}; {body}"),
            };
            Reply::Error { text }
        }
        other => Reply::Other { command: other.to_owned() },
    };
    Some((reply, start + length + 1))
}

/// Whether the server has heard the farewell, or says why not.
pub(super) fn has_receipt(bytes: &[u8]) -> bool {
    matches!(parse(bytes), Some((Reply::Receipt | Reply::Error { .. }, _)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_login_is_one_frame() {
        let frame = connect("preflight 1", Some("app"), Some("a:b")).unwrap();
        let text = String::from_utf8(frame).unwrap();
        assert_eq!(
            text,
            "CONNECT\naccept-version:1.2\nhost:/\nheart-beat:0,0\nclient-id:preflight 1\nlogin:app\npasscode:a:b\n\n\0"
        );
        assert!(connect("c", Some("app\nrole:admin"), None).is_err());
    }

    #[test]
    fn answers_are_read_when_they_are_whole() {
        let connected = b"\nCONNECTED\nserver:ActiveMQ/5.17.2\nversion:1.2\n\n\0\n";
        assert_eq!(parse(&connected[..20]), None);
        let server = "ActiveMQ/5.17.2".to_owned();
        assert_eq!(parse(connected), Some((Reply::Connected { server }, connected.len() - 1)));
        assert_eq!(parse(b"RECEIPT\nreceipt-id:bye\n\n\0").unwrap().0, Reply::Receipt);
        let error = b"ERROR\ncontent-type:text/plain\nmessage:refused\n\njava.lang.SecurityException: no\n\tat x\n\0";
        let text = "refused; java.lang.SecurityException: no".to_owned();
        assert_eq!(parse(error).unwrap().0, Reply::Error { text });
        assert_eq!(parse(b"HTTP/1.1 400\r\n\r\n\0").unwrap().0, Reply::Other { command: "HTTP/1.1 400".to_owned() });
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_answer_or_not(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Some((_, taken)) = parse(&bytes) {
                prop_assert!(taken <= bytes.len());
            }
        }
    }
}
