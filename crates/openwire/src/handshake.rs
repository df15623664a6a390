//! The conversation of a client that logs in.

use crate::{
    BrokerInfo, Command, ConnectionInfo, Frames, PROTOCOL_VERSION, RemoveInfo, Thrown, WireError, WireFormatInfo,
};

const LOGIN_ID: i32 = 1;
const LOGOUT_ID: i32 = 2;
const SHUTDOWN_ID: i32 = 3;

/// The oldest version that a broker may ask for; every version since has these fields.
const VERSION_MIN: i32 = 1;

/// Who logs in.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// Unique in the world.
    pub connection_id: String,
    /// Unique in the world; shown to operators.
    pub client_id: String,
    /// The account; none where the broker asks for none.
    pub user_name: Option<String>,
    /// Its password.
    pub password: Option<String>,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").field("client_id", &self.client_id).finish_non_exhaustive()
    }
}

/// A login that is under way. Sans-io: bytes in, bytes out.
#[derive(Debug)]
pub struct Handshake {
    login: Login,
    frames: Frames,
    state: State,
}

#[derive(Debug)]
enum State {
    Greeting,
    LoggingIn { version: i32, broker: WireFormatInfo, info: Option<BrokerInfo> },
    Over,
}

/// What to do next.
#[derive(Debug)]
pub enum Step {
    /// Read more bytes.
    Wait,
    /// Send these bytes, then read more.
    Send(Vec<u8>),
    /// The broker let the client in.
    Admitted(Admitted),
    /// The broker refused the client.
    Refused(Refused),
}

/// A login that the broker accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// The negotiated version of the protocol.
    pub version: i32,
    /// What the broker can do, its name and version among it.
    pub broker: WireFormatInfo,
    /// Which broker it is, if it said so before it accepted.
    pub info: Option<BrokerInfo>,
    connection_id: String,
}

impl Admitted {
    /// The bytes that log out and announce the end; after them the connection may be closed.
    ///
    /// # Errors
    /// Never for a connection id that was accepted.
    pub fn farewell(&self) -> Result<Vec<u8>, WireError> {
        let info = RemoveInfo { connection_id: self.connection_id.clone(), last_delivered_sequence_id: -1 };
        let mut bytes = Command::RemoveInfo { id: LOGOUT_ID, wants_response: false, info }.encode(self.version)?;
        bytes.extend(Command::ShutdownInfo { id: SHUTDOWN_ID, wants_response: false }.encode(self.version)?);
        Ok(bytes)
    }
}

/// A login that the broker refused, in its own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The exception.
    pub thrown: Thrown,
}

impl Refused {
    /// Whether the account or its password is the reason.
    #[must_use]
    pub fn is_authentication(&self) -> bool {
        self.thrown.class == "java.lang.SecurityException" || self.thrown.class.ends_with("JMSSecurityException")
    }

    /// Whether another client has the same client id.
    #[must_use]
    pub fn is_identity(&self) -> bool {
        self.thrown.class.ends_with("InvalidClientIDException")
    }
}

/// Why a login cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// What arrived is not OpenWire.
    #[error("what arrived is not OpenWire in loose encoding")]
    Wire(#[from] WireError),
    /// The broker asks for a version that does not exist.
    #[error("the broker offers version {version} of the protocol")]
    Version {
        /// What it asks for.
        version: i32,
    },
    /// The broker insists on something this crate does not speak.
    #[error("the broker answered before it told its wire format")]
    OutOfOrder,
    /// The login was over already.
    #[error("the login is over")]
    Over,
}

impl Handshake {
    /// Begins a login. The bytes are to be sent at once: a silent connection takes a seat on the broker.
    #[must_use]
    pub fn start(login: Login) -> (Self, Vec<u8>) {
        // A probe is gone long before the silence that it announces here.
        let greeting = Command::WireFormatInfo(WireFormatInfo::offer(30_000))
            .encode(PROTOCOL_VERSION)
            .expect("the offer is short and constant");
        (Self { login, frames: Frames::default(), state: State::Greeting }, greeting)
    }

    /// Takes bytes that arrived, none if there are none, and says what to do.
    ///
    /// After [`Step::Send`] it is to be called again, with the next bytes or with none: more than one answer may have
    /// arrived in one read.
    ///
    /// # Errors
    /// What arrived does not belong into this conversation; the connection is of no more use.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Step, HandshakeError> {
        self.frames.push(bytes);
        while let Some(frame) = self.frames.next_frame()? {
            if let Some(step) = self.take(&frame)? {
                return Ok(step);
            }
        }
        match self.state {
            State::Over => Err(HandshakeError::Over),
            _ => Ok(Step::Wait),
        }
    }

    fn take(&mut self, frame: &[u8]) -> Result<Option<Step>, HandshakeError> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Greeting => match Command::decode(frame, PROTOCOL_VERSION)? {
                Command::WireFormatInfo(broker) => self.greeted(broker).map(Some),
                Command::ConnectionError { thrown } => Ok(Some(Step::Refused(Refused { thrown }))),
                _ => Err(HandshakeError::OutOfOrder),
            },
            State::LoggingIn { version, broker, info } => match Command::decode(frame, version)? {
                Command::Response { correlation_id: LOGIN_ID, .. } => {
                    let connection_id = self.login.connection_id.clone();
                    Ok(Some(Step::Admitted(Admitted { version, broker, info, connection_id })))
                }
                Command::ExceptionResponse { correlation_id: LOGIN_ID, thrown, .. }
                | Command::ConnectionError { thrown } => Ok(Some(Step::Refused(Refused { thrown }))),
                Command::BrokerInfo(found) => {
                    self.state = State::LoggingIn { version, broker, info: Some(found) };
                    Ok(None)
                }
                _ => {
                    self.state = State::LoggingIn { version, broker, info };
                    Ok(None)
                }
            },
            State::Over => Err(HandshakeError::Over),
        }
    }

    fn greeted(&mut self, broker: WireFormatInfo) -> Result<Step, HandshakeError> {
        if broker.version < VERSION_MIN {
            return Err(HandshakeError::Version { version: broker.version });
        }
        let version = broker.version.min(PROTOCOL_VERSION);
        let info = ConnectionInfo {
            connection_id: self.login.connection_id.clone(),
            client_id: Some(self.login.client_id.clone()),
            password: self.login.password.take(),
            user_name: self.login.user_name.clone(),
        };
        let login = Command::ConnectionInfo { id: LOGIN_ID, wants_response: true, info }.encode(version)?;
        self.state = State::LoggingIn { version, broker, info: None };
        Ok(Step::Send(login))
    }
}
