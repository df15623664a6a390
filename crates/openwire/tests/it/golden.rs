//! Every frame here was written by `org.apache.activemq.openwire.OpenWireFormat` of activemq-client 5.17.2 with tight
//! encoding, cache and stack traces off.

use preflight_openwire::{BrokerInfo, Command, ConnectionInfo, Frames, Property, RemoveInfo, Thrown, WireFormatInfo};

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn decode(hex: &str, version: i32) -> Command {
    let mut frames = Frames::default();
    frames.push(&bytes(hex));
    let frame = frames.next_frame().unwrap().expect("one whole frame");
    assert_eq!(frames.next_frame().unwrap(), None);
    Command::decode(&frame, version).unwrap()
}

fn same_both_ways(hex: &str, version: i32, command: &Command) {
    assert_eq!(&decode(hex, version), command);
    assert_eq!(command.encode(version).unwrap(), bytes(hex));
}

#[test]
fn the_wire_format() {
    let hex = "00000109014163746976654d510000000c01000000f70000000a001253697a6550726566697844697361626c6564010000115463704e\
               6f44656c6179456e61626c656401010009436163686553697a650500000400000c50726f76696465724e616d650900084163746976654d51\
               0011537461636b5472616365456e61626c65640100000c4361636865456e61626c6564010000145469676874456e636f64696e67456e61\
               626c65640100000c4d61784672616d6553697a6506000000000001000000154d6178496e61637469766974794475726174696f6e060000\
               00000000753000204d6178496e61637469766974794475726174696f6e496e6974616c44656c6179060000000000002710";
    let switch = |name: &str, on| (name.to_owned(), Property::Boolean(on));
    let command = Command::WireFormatInfo(WireFormatInfo {
        version: 12,
        properties: vec![
            switch("SizePrefixDisabled", false),
            switch("TcpNoDelayEnabled", true),
            ("CacheSize".to_owned(), Property::Int(1024)),
            ("ProviderName".to_owned(), Property::Text("ActiveMQ".to_owned())),
            switch("StackTraceEnabled", false),
            switch("CacheEnabled", false),
            switch("TightEncodingEnabled", false),
            ("MaxFrameSize".to_owned(), Property::Long(65_536)),
            ("MaxInactivityDuration".to_owned(), Property::Long(30_000)),
            ("MaxInactivityDurationInitalDelay".to_owned(), Property::Long(10_000)),
        ],
    });
    same_both_ways(hex, 12, &command);
}

#[test]
fn a_login_in_every_shape_that_the_versions_gave_it() {
    let start = "030000000101017801000e49443a707265666c696768742d3101000f707265666c696768742072756e2d3101000e73c0806372\
                 c3a974eda0bdedb880010003617070";
    let info = ConnectionInfo {
        connection_id: "ID:preflight-1".to_owned(),
        client_id: Some("preflight run-1".to_owned()),
        password: Some("s\0cr\u{e9}t\u{1f600}".to_owned()),
        user_name: Some("app".to_owned()),
    };
    let command = Command::ConnectionInfo { id: 1, wants_response: true, info };
    for (version, length, end) in [
        (1, "00000045", "000000"),
        (2, "00000046", "00000001"),
        (5, "00000046", "00000001"),
        (6, "00000048", "000000010000"),
        (8, "00000049", "00000001000000"),
        (12, "00000049", "00000001000000"),
    ] {
        same_both_ways(&format!("{length}{start}{end}"), version, &command);
    }
}

#[test]
fn a_logout_before_and_since_version_5() {
    let info = RemoveInfo { connection_id: "ID:preflight-1".to_owned(), last_delivered_sequence_id: -1 };
    let command = Command::RemoveInfo { id: 2, wants_response: false, info };
    same_both_ways("000000190c0000000200017801000e49443a707265666c696768742d31", 2, &command);
    same_both_ways("000000210c0000000200017801000e49443a707265666c696768742d31ffffffffffffffff", 12, &command);
}

#[test]
fn answers() {
    same_both_ways("0000000a1e000000070000000001", 12, &Command::Response { id: 7, correlation_id: 1 });
    let thrown = Thrown {
        class: "java.lang.SecurityException".to_owned(),
        message: "User name [app] or password is invalid.".to_owned(),
    };
    same_both_ways(
        "000000531f0000000800000000010101001b6a6176612e6c616e672e5365637572697479457863657074696f6e0100275573657220\
         6e616d65205b6170705d206f722070617373776f726420697320696e76616c69642e",
        12,
        &Command::ExceptionResponse { id: 8, correlation_id: 1, thrown },
    );
}

#[test]
fn signs_of_life_and_of_the_end() {
    same_both_ways("000000060a0000000300", 12, &Command::KeepAliveInfo { id: 3, wants_response: false });
    same_both_ways("000000060b0000000400", 12, &Command::ShutdownInfo { id: 4, wants_response: false });
}

#[test]
fn what_is_only_read() {
    let broker = BrokerInfo { broker_id: Some("ID:b-1".to_owned()), url: Some("tcp://127.0.0.1:61616".to_owned()) };
    let found = decode(
        "0000003f020000000000017c01000649443a622d310100157463703a2f2f3132372e302e302e313a363136313600\
         0100036c6162000000000000000000000000000000",
        12,
    );
    assert_eq!(found, Command::BrokerInfo(broker));
    let thrown =
        Thrown { class: "java.io.IOException".to_owned(), message: "Wire format negotiation timeout".to_owned() };
    let found = decode(
        "00000052100000000000010100136a6176612e696f2e494f457863657074696f6e01001f5769726520666f726d6174206e65676f74\
         696174696f6e2074696d656f7574017801000e49443a707265666c696768742d31",
        12,
    );
    assert_eq!(found, Command::ConnectionError { thrown });
    assert_eq!(decode("0000001312000000000000000000000100000100000000", 12), Command::Other { command_type: 18 });
    assert!(found.encode(12).is_err());
}
