//! Primitive values, as loose encoding writes them: big-endian, strings with a presence byte.

use crate::text;

/// Why bytes are not a command, or a command cannot be bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The other side announced a frame that is larger than this crate accepts. Often the sign that it speaks another
    /// protocol.
    #[error("a frame of {announced} bytes was announced, {limit} are accepted")]
    FrameTooLarge {
        /// What the length field says.
        announced: u64,
        /// The most that is accepted.
        limit: usize,
    },
    /// A frame too short to say of which type it is.
    #[error("an empty frame")]
    FrameEmpty,
    /// The frame ends inside a value.
    #[error("the frame ends inside {field}")]
    Truncated {
        /// The value.
        field: &'static str,
    },
    /// The frame goes on after its command.
    #[error("{count} bytes after the end of a command of type {command_type}")]
    Trailing {
        /// The type of the command.
        command_type: u8,
        /// How many bytes are left.
        count: usize,
    },
    /// A wire format that does not begin with `ActiveMQ`.
    #[error("not a wire format of ActiveMQ")]
    Magic,
    /// A boolean that is neither 0 nor 1.
    #[error("{field} is {value}, neither 0 nor 1")]
    Boolean {
        /// The value.
        field: &'static str,
        /// What was there.
        value: u8,
    },
    /// A string that is not modified UTF-8.
    #[error("{field} is not text")]
    Text {
        /// The string.
        field: &'static str,
    },
    /// A string, list or block that is longer than its length field or a broker's limits can say.
    #[error("{field} is too long")]
    TooLong {
        /// The value.
        field: &'static str,
    },
    /// A property of the wire format with a type that is not allowed there.
    #[error("a property of type {tag} in the wire format")]
    PropertyType {
        /// The type's number.
        tag: u8,
    },
    /// A nested object of another type than belongs there.
    #[error("{field} is an object of type {found}")]
    ObjectType {
        /// The object.
        field: &'static str,
        /// Its type's number.
        found: u8,
    },
}

/// Reads primitive values off the front of a frame's body.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn remaining(&self) -> usize {
        self.rest.len()
    }

    pub(crate) fn take(&mut self, count: usize, field: &'static str) -> Result<&'a [u8], WireError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(WireError::Truncated { field })?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], WireError> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(WireError::Truncated { field })?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(crate) fn u8(&mut self, field: &'static str) -> Result<u8, WireError> {
        self.array::<1>(field).map(|[byte]| byte)
    }

    pub(crate) fn boolean(&mut self, field: &'static str) -> Result<bool, WireError> {
        match self.u8(field)? {
            0 => Ok(false),
            1 => Ok(true),
            value => Err(WireError::Boolean { field, value }),
        }
    }

    pub(crate) fn u16(&mut self, field: &'static str) -> Result<u16, WireError> {
        self.array(field).map(u16::from_be_bytes)
    }

    pub(crate) fn i32(&mut self, field: &'static str) -> Result<i32, WireError> {
        self.array(field).map(i32::from_be_bytes)
    }

    pub(crate) fn i64(&mut self, field: &'static str) -> Result<i64, WireError> {
        self.array(field).map(i64::from_be_bytes)
    }

    /// A string with a length and no presence byte.
    pub(crate) fn utf(&mut self, field: &'static str) -> Result<String, WireError> {
        let length = usize::from(self.u16(field)?);
        text::decode(self.take(length, field)?).ok_or(WireError::Text { field })
    }

    /// A string that may be absent.
    pub(crate) fn string(&mut self, field: &'static str) -> Result<Option<String>, WireError> {
        if self.boolean(field)? { self.utf(field).map(Some) } else { Ok(None) }
    }

    /// A nested object whose only field is one string, which all identifiers of connections and brokers are.
    pub(crate) fn identifier(&mut self, kind: u8, field: &'static str) -> Result<Option<String>, WireError> {
        if !self.boolean(field)? {
            return Ok(None);
        }
        match self.u8(field)? {
            found if found == kind => Ok(Some(self.string(field)?.unwrap_or_default())),
            found => Err(WireError::ObjectType { field, found }),
        }
    }
}

/// Writes primitive values.
#[derive(Default)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(crate) fn u8(&mut self, value: u8) {
        self.bytes.push(value);
    }

    pub(crate) fn boolean(&mut self, value: bool) {
        self.u8(u8::from(value));
    }

    pub(crate) fn i32(&mut self, value: i32) {
        self.raw(&value.to_be_bytes());
    }

    pub(crate) fn i64(&mut self, value: i64) {
        self.raw(&value.to_be_bytes());
    }

    pub(crate) fn utf(&mut self, value: &str, field: &'static str) -> Result<(), WireError> {
        let bytes = text::encode(value);
        let length = u16::try_from(bytes.len()).map_err(|_| WireError::TooLong { field })?;
        self.raw(&length.to_be_bytes());
        self.raw(&bytes);
        Ok(())
    }

    pub(crate) fn string(&mut self, value: Option<&str>, field: &'static str) -> Result<(), WireError> {
        self.boolean(value.is_some());
        value.map_or(Ok(()), |text| self.utf(text, field))
    }

    pub(crate) fn identifier(&mut self, kind: u8, value: Option<&str>, field: &'static str) -> Result<(), WireError> {
        self.boolean(value.is_some());
        if value.is_some() {
            self.u8(kind);
            self.string(value, field)?;
        }
        Ok(())
    }
}
