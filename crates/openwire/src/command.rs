//! What a frame says.

use crate::wire::{Reader, Writer};
use crate::{WireError, WireFormatInfo, frame};

const WIRE_FORMAT_INFO: u8 = 1;
const BROKER_INFO: u8 = 2;
const CONNECTION_INFO: u8 = 3;
const KEEP_ALIVE_INFO: u8 = 10;
const SHUTDOWN_INFO: u8 = 11;
const REMOVE_INFO: u8 = 12;
const CONNECTION_ERROR: u8 = 16;
const RESPONSE: u8 = 30;
const EXCEPTION_RESPONSE: u8 = 31;
const CONNECTION_ID: u8 = 120;
const BROKER_ID: u8 = 124;

/// A command. `id` numbers the commands of one side; `wants_response` asks the other side for a [`Command::Response`]
/// or a [`Command::ExceptionResponse`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// What the sender can do. The first command in both directions.
    WireFormatInfo(WireFormatInfo),
    /// Which broker this is. Read as far as its name; never written.
    BrokerInfo(BrokerInfo),
    /// Logs in.
    ConnectionInfo {
        /// The command's number.
        id: i32,
        /// Whether an answer is wanted.
        wants_response: bool,
        /// Who logs in.
        info: ConnectionInfo,
    },
    /// A sign of life.
    KeepAliveInfo {
        /// The command's number.
        id: i32,
        /// Whether an answer is wanted.
        wants_response: bool,
    },
    /// The sender is about to hang up.
    ShutdownInfo {
        /// The command's number.
        id: i32,
        /// Whether an answer is wanted.
        wants_response: bool,
    },
    /// Logs out.
    RemoveInfo {
        /// The command's number.
        id: i32,
        /// Whether an answer is wanted.
        wants_response: bool,
        /// What is given up.
        info: RemoveInfo,
    },
    /// The broker gives up the connection. Read as far as its reason; never written.
    ConnectionError {
        /// Why.
        thrown: Thrown,
    },
    /// It is done.
    Response {
        /// The command's number.
        id: i32,
        /// The number of the command that is answered.
        correlation_id: i32,
    },
    /// It cannot be done.
    ExceptionResponse {
        /// The command's number.
        id: i32,
        /// The number of the command that is answered.
        correlation_id: i32,
        /// Why.
        thrown: Thrown,
    },
    /// A command that this crate does not look into, for example `ConnectionControl` (18).
    Other {
        /// The number of its type.
        command_type: u8,
    },
}

/// Which broker answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BrokerInfo {
    /// Its unique id.
    pub broker_id: Option<String>,
    /// Where it says that it can be reached; without the options of its connector.
    pub url: Option<String>,
}

/// Who logs in. Fields that only brokers among themselves use are written as off.
#[derive(Clone, PartialEq, Eq)]
pub struct ConnectionInfo {
    /// Unique in the broker. Reusing one ends the connection that had it, without a word.
    pub connection_id: String,
    /// Unique in the broker. Reusing one is refused.
    pub client_id: Option<String>,
    /// The password.
    pub password: Option<String>,
    /// The account.
    pub user_name: Option<String>,
}

impl std::fmt::Debug for ConnectionInfo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConnectionInfo")
            .field("connection_id", &self.connection_id)
            .field("client_id", &self.client_id)
            .field("user_name", &self.user_name)
            .finish_non_exhaustive()
    }
}

/// What a client gives up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoveInfo {
    /// The connection.
    pub connection_id: String,
    /// The last message that was delivered on it; -1 for none.
    pub last_delivered_sequence_id: i64,
}

/// A Java exception: a name and a message, data only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Thrown {
    /// The name of its class.
    pub class: String,
    /// What it says.
    pub message: String,
}

impl Command {
    /// Reads a frame as [`Frames::next_frame`](crate::Frames::next_frame) gives it. `version` is the negotiated version
    /// of the protocol; it decides which fields there are.
    ///
    /// # Errors
    /// The frame is not a command in loose encoding.
    pub fn decode(frame: &[u8], version: i32) -> Result<Self, WireError> {
        let (&command_type, body) = frame.split_first().ok_or(WireError::FrameEmpty)?;
        let mut reader = Reader::new(body);
        let command = match command_type {
            WIRE_FORMAT_INFO => Self::WireFormatInfo(WireFormatInfo::read(&mut reader)?),
            BROKER_INFO => return broker_info(reader).map(Self::BrokerInfo),
            CONNECTION_INFO => {
                let (id, wants_response) = base(&mut reader)?;
                Self::ConnectionInfo { id, wants_response, info: ConnectionInfo::read(&mut reader, version)? }
            }
            KEEP_ALIVE_INFO => {
                let (id, wants_response) = base(&mut reader)?;
                Self::KeepAliveInfo { id, wants_response }
            }
            SHUTDOWN_INFO => {
                let (id, wants_response) = base(&mut reader)?;
                Self::ShutdownInfo { id, wants_response }
            }
            REMOVE_INFO => {
                let (id, wants_response) = base(&mut reader)?;
                Self::RemoveInfo { id, wants_response, info: RemoveInfo::read(&mut reader, version)? }
            }
            CONNECTION_ERROR => {
                base(&mut reader)?;
                return thrown(&mut reader).map(|thrown| Self::ConnectionError { thrown });
            }
            RESPONSE => {
                let (id, _) = base(&mut reader)?;
                Self::Response { id, correlation_id: reader.i32("the correlation id")? }
            }
            EXCEPTION_RESPONSE => {
                let (id, _) = base(&mut reader)?;
                let correlation_id = reader.i32("the correlation id")?;
                Self::ExceptionResponse { id, correlation_id, thrown: thrown(&mut reader)? }
            }
            command_type => return Ok(Self::Other { command_type }),
        };
        match reader.remaining() {
            0 => Ok(command),
            count => Err(WireError::Trailing { command_type, count }),
        }
    }

    /// Writes a frame with its length. `version` as for [`Command::decode`].
    ///
    /// # Errors
    /// [`WireError::TooLong`] for text that does not fit; [`WireError::ObjectType`] for commands that are only read.
    pub fn encode(&self, version: i32) -> Result<Vec<u8>, WireError> {
        let mut writer = Writer::default();
        match self {
            Self::WireFormatInfo(info) => {
                writer.u8(WIRE_FORMAT_INFO);
                info.write(&mut writer)?;
            }
            Self::ConnectionInfo { id, wants_response, info } => {
                write_base(&mut writer, CONNECTION_INFO, *id, *wants_response);
                info.write(&mut writer, version)?;
            }
            Self::KeepAliveInfo { id, wants_response } => {
                write_base(&mut writer, KEEP_ALIVE_INFO, *id, *wants_response);
            }
            Self::ShutdownInfo { id, wants_response } => write_base(&mut writer, SHUTDOWN_INFO, *id, *wants_response),
            Self::RemoveInfo { id, wants_response, info } => {
                write_base(&mut writer, REMOVE_INFO, *id, *wants_response);
                info.write(&mut writer, version)?;
            }
            Self::Response { id, correlation_id } => {
                write_base(&mut writer, RESPONSE, *id, false);
                writer.i32(*correlation_id);
            }
            Self::ExceptionResponse { id, correlation_id, thrown } => {
                write_base(&mut writer, EXCEPTION_RESPONSE, *id, false);
                writer.i32(*correlation_id);
                writer.boolean(true);
                writer.string(Some(&thrown.class), "the exception's class")?;
                writer.string(Some(&thrown.message), "the exception's message")?;
            }
            Self::BrokerInfo(_) => return Err(read_only(BROKER_INFO)),
            Self::ConnectionError { .. } => return Err(read_only(CONNECTION_ERROR)),
            Self::Other { command_type } => return Err(read_only(*command_type)),
        }
        frame::with_length(writer.into_bytes())
    }
}

fn read_only(found: u8) -> WireError {
    WireError::ObjectType { field: "the command", found }
}

fn base(reader: &mut Reader<'_>) -> Result<(i32, bool), WireError> {
    Ok((reader.i32("the command's number")?, reader.boolean("the wish for a response")?))
}

fn write_base(writer: &mut Writer, command_type: u8, id: i32, wants_response: bool) {
    writer.u8(command_type);
    writer.i32(id);
    writer.boolean(wants_response);
}

fn broker_info(mut reader: Reader<'_>) -> Result<BrokerInfo, WireError> {
    base(&mut reader)?;
    let broker_id = reader.identifier(BROKER_ID, "the broker's id")?;
    Ok(BrokerInfo { broker_id, url: reader.string("the broker's address")? })
}

fn thrown(reader: &mut Reader<'_>) -> Result<Thrown, WireError> {
    if !reader.boolean("the exception")? {
        return Ok(Thrown::default());
    }
    let class = reader.string("the exception's class")?.unwrap_or_default();
    Ok(Thrown { class, message: reader.string("the exception's message")?.unwrap_or_default() })
}

impl ConnectionInfo {
    fn write(&self, writer: &mut Writer, version: i32) -> Result<(), WireError> {
        writer.identifier(CONNECTION_ID, Some(&self.connection_id), "the connection's id")?;
        writer.string(self.client_id.as_deref(), "the client's id")?;
        writer.string(self.password.as_deref(), "the password")?;
        writer.string(self.user_name.as_deref(), "the user name")?;
        writer.boolean(false); // no path of brokers
        writer.boolean(false); // not the connection of a master broker
        writer.boolean(false); // not manageable: the broker sends no ConnectionControl
        if version >= 2 {
            writer.boolean(true); // the client knows one master only
        }
        if version >= 6 {
            writer.boolean(false); // not fault tolerant
            writer.boolean(false); // not a reconnection
        }
        if version >= 8 {
            writer.string(None, "the client's address")?;
        }
        Ok(())
    }

    fn read(reader: &mut Reader<'_>, version: i32) -> Result<Self, WireError> {
        let connection_id = reader.identifier(CONNECTION_ID, "the connection's id")?.unwrap_or_default();
        let client_id = reader.string("the client's id")?;
        let password = reader.string("the password")?;
        let user_name = reader.string("the user name")?;
        if reader.boolean("the path of brokers")? {
            return Err(WireError::ObjectType { field: "the path of brokers", found: BROKER_ID });
        }
        let switches = 2 + usize::from(version >= 2) + 2 * usize::from(version >= 6);
        for _ in 0..switches {
            reader.boolean("a switch of the connection")?;
        }
        if version >= 8 {
            reader.string("the client's address")?;
        }
        Ok(Self { connection_id, client_id, password, user_name })
    }
}

impl RemoveInfo {
    fn write(&self, writer: &mut Writer, version: i32) -> Result<(), WireError> {
        writer.identifier(CONNECTION_ID, Some(&self.connection_id), "the connection's id")?;
        if version >= 5 {
            writer.i64(self.last_delivered_sequence_id);
        }
        Ok(())
    }

    fn read(reader: &mut Reader<'_>, version: i32) -> Result<Self, WireError> {
        let connection_id = reader.identifier(CONNECTION_ID, "the connection's id")?.unwrap_or_default();
        let last_delivered_sequence_id = if version >= 5 { reader.i64("the last message delivered")? } else { -1 };
        Ok(Self { connection_id, last_delivered_sequence_id })
    }
}
