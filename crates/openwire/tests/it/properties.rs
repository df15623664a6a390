use preflight_openwire::{
    Command, ConnectionInfo, Frames, Handshake, Login, Property, RemoveInfo, Step, Thrown, WireFormatInfo,
};
use proptest::prelude::*;

fn text() -> impl Strategy<Value = String> {
    proptest::string::string_regex("(?s).{0,40}").unwrap()
}

fn property() -> impl Strategy<Value = Property> {
    prop_oneof![
        Just(Property::Null),
        any::<bool>().prop_map(Property::Boolean),
        any::<i32>().prop_map(Property::Int),
        any::<i64>().prop_map(Property::Long),
        text().prop_map(Property::Text),
    ]
}

fn connection() -> impl Strategy<Value = ConnectionInfo> {
    let maybe = || proptest::option::of(text());
    (text(), maybe(), maybe(), maybe()).prop_map(|(connection_id, client_id, password, user_name)| ConnectionInfo {
        connection_id,
        client_id,
        password,
        user_name,
    })
}

fn command() -> impl Strategy<Value = Command> {
    let numbered = || (any::<i32>(), any::<bool>());
    prop_oneof![
        (any::<i32>(), proptest::collection::vec((text(), property()), 0..20))
            .prop_map(|(version, properties)| Command::WireFormatInfo(WireFormatInfo { version, properties })),
        (numbered(), connection()).prop_map(|((id, wants_response), info)| Command::ConnectionInfo {
            id,
            wants_response,
            info
        }),
        numbered().prop_map(|(id, wants_response)| Command::KeepAliveInfo { id, wants_response }),
        numbered().prop_map(|(id, wants_response)| Command::ShutdownInfo { id, wants_response }),
        (numbered(), text(), any::<i64>()).prop_map(|((id, wants_response), connection_id, last)| {
            let info = RemoveInfo { connection_id, last_delivered_sequence_id: last };
            Command::RemoveInfo { id, wants_response, info }
        }),
        (any::<i32>(), any::<i32>()).prop_map(|(id, correlation_id)| Command::Response { id, correlation_id }),
        (any::<i32>(), any::<i32>(), text(), text()).prop_map(|(id, correlation_id, class, message)| {
            Command::ExceptionResponse { id, correlation_id, thrown: Thrown { class, message } }
        }),
    ]
}

fn login() -> Login {
    Login { connection_id: "ID:1".into(), client_id: "c".into(), user_name: Some("u".into()), password: None }
}

proptest! {
    #[test]
    fn what_is_written_reads_the_same(command in command(), version in 5_i32..=12) {
        let bytes = command.encode(version).unwrap();
        let mut frames = Frames::default();
        frames.push(&bytes);
        let frame = frames.next_frame().unwrap().unwrap();
        prop_assert_eq!(Command::decode(&frame, version).unwrap(), command);
    }

    #[test]
    fn a_frame_that_reads_is_written_the_same_or_was_only_for_reading(
        command_type in prop_oneof![Just(1_u8), Just(3), Just(10), Just(11), Just(12), Just(30), Just(31), any::<u8>()],
        body in proptest::collection::vec(prop_oneof![Just(0_u8), Just(1), any::<u8>()], 0..80),
        version in any::<i32>(),
    ) {
        let mut frame = vec![command_type];
        frame.extend(body);
        if let Ok(command) = Command::decode(&frame, version) {
            let _ = command.encode(version);
        }
    }

    #[test]
    fn a_cut_frame_is_an_error(command in command(), keep in 0.0_f64..1.0) {
        let bytes = command.encode(12).unwrap();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
        let end = 4 + ((bytes.len() - 4) as f64 * keep) as usize;
        prop_assert!(Command::decode(&bytes[4..end], 12).is_err());
    }

    #[test]
    fn any_answer_ends_a_login_or_waits(
        pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 0..10),
        greeted in any::<bool>(),
    ) {
        let (mut handshake, greeting) = Handshake::start(login());
        if greeted {
            prop_assert!(matches!(handshake.feed(&greeting), Ok(Step::Send(_))));
        }
        for piece in pieces {
            if handshake.feed(&piece).is_err() {
                break;
            }
        }
    }
}
