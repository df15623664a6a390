use preflight_openwire::{Command, Handshake, HandshakeError, Login, Step, Thrown, WireError, WireFormatInfo};

fn login() -> Login {
    Login {
        connection_id: "ID:probe-1".into(),
        client_id: "probe".into(),
        user_name: Some("app".into()),
        password: Some("hunter2".into()),
    }
}

fn greeting_of(version: i32) -> Vec<u8> {
    Command::WireFormatInfo(WireFormatInfo { version, ..WireFormatInfo::offer(30_000) }).encode(version).unwrap()
}

fn logging_in() -> Handshake {
    let (mut handshake, _) = Handshake::start(login());
    assert!(matches!(handshake.feed(&greeting_of(12)), Ok(Step::Send(_))));
    handshake
}

const BROKER_INFO: &[u8] = &[0, 0, 0, 8, 2, 0, 0, 0, 0, 0, 0, 0];

#[test]
fn a_login_is_sent_once_the_broker_has_spoken_and_admitted_by_its_response() {
    let (mut handshake, _) = Handshake::start(login());
    assert!(matches!(handshake.feed(&[]), Ok(Step::Wait)));
    let Ok(Step::Send(sent)) = handshake.feed(&greeting_of(12)) else { panic!("a login") };
    let Ok(Command::ConnectionInfo { id, wants_response, info }) = Command::decode(&sent[4..], 12) else {
        panic!("a login")
    };
    assert!(wants_response && info.password.as_deref() == Some("hunter2"));
    assert!(matches!(handshake.feed(BROKER_INFO), Ok(Step::Wait)));
    let answer = Command::Response { id: 9, correlation_id: id }.encode(12).unwrap();
    let Ok(Step::Admitted(admitted)) = handshake.feed(&answer) else { panic!("admitted") };
    assert!(admitted.info.is_some());
    let farewell = admitted.farewell().unwrap();
    assert_eq!((farewell[4], farewell[farewell.len() - 6]), (12, 11));
}

#[test]
fn answers_that_came_with_the_greeting_are_not_lost() {
    let (mut handshake, _) = Handshake::start(login());
    let mut bytes = greeting_of(12);
    bytes.extend(BROKER_INFO);
    bytes.extend(Command::Response { id: 9, correlation_id: 1 }.encode(12).unwrap());
    assert!(matches!(handshake.feed(&bytes), Ok(Step::Send(_))));
    assert!(matches!(handshake.feed(&[]), Ok(Step::Admitted(_))));
}

#[test]
fn a_refusal_keeps_the_words_of_the_broker() {
    let refuse = |class: &str| {
        let thrown = Thrown { class: class.to_owned(), message: "no".to_owned() };
        let answer = Command::ExceptionResponse { id: 1, correlation_id: 1, thrown }.encode(12).unwrap();
        let Ok(Step::Refused(refused)) = logging_in().feed(&answer) else { panic!("refused") };
        refused
    };
    assert!(refuse("java.lang.SecurityException").is_authentication());
    assert!(refuse("javax.jms.InvalidClientIDException").is_identity());
    assert!(refuse("jakarta.jms.JMSSecurityException").is_authentication());
    let other = refuse("java.io.IOException");
    assert!(!other.is_authentication() && !other.is_identity());
}

#[test]
fn an_answer_to_another_command_is_not_for_the_login() {
    let answer = Command::Response { id: 9, correlation_id: 77 }.encode(12).unwrap();
    assert!(matches!(logging_in().feed(&answer), Ok(Step::Wait)));
}

#[test]
fn the_older_version_wins() {
    let (mut handshake, _) = Handshake::start(login());
    let Ok(Step::Send(sent)) = handshake.feed(&greeting_of(5)) else { panic!("a login") };
    assert!(matches!(Command::decode(&sent[4..], 5), Ok(Command::ConnectionInfo { .. })));
    let (mut handshake, _) = Handshake::start(login());
    assert!(matches!(handshake.feed(&greeting_of(0)), Err(HandshakeError::Version { version: 0 })));
}

#[test]
fn a_web_server_is_not_a_broker() {
    let (mut handshake, _) = Handshake::start(login());
    let error = handshake.feed(b"HTTP/1.1 400 Bad Request\r\n").unwrap_err();
    assert!(matches!(error, HandshakeError::Wire(WireError::FrameTooLarge { .. })));
}

#[test]
fn a_login_does_not_print_its_password() {
    assert!(!format!("{:?}", login()).contains("hunter2"));
    assert!(!format!("{:?}", logging_in()).contains("hunter2"));
}
