//! The wire format: what each side can do. The first frame in both directions.

use crate::WireError;
use crate::wire::{Reader, Writer};

/// The newest version of the protocol that this crate speaks.
pub const PROTOCOL_VERSION: i32 = 12;

const MAGIC: &[u8; 8] = b"ActiveMQ";

/// The most properties and the longest value that recent brokers accept; this crate accepts no more either.
const PROPERTIES_MAX: usize = 64;
const VALUE_BYTES_MAX: usize = 512;

/// What one side can do and would like to do.
///
/// Every switch holds only if both sides set it, and of every size the smaller one holds. A property that a side leaves
/// out counts as off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireFormatInfo {
    /// The newest version of the protocol that the side speaks.
    pub version: i32,
    /// The properties, in the order in which they are written.
    pub properties: Vec<(String, Property)>,
}

/// The value of a property.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Property {
    /// Nothing.
    Null,
    /// A switch.
    Boolean(bool),
    /// A number of 32 bits.
    Int(i32),
    /// A number of 64 bits.
    Long(i64),
    /// A text.
    Text(String),
}

const NULL: u8 = 0;
const BOOLEAN: u8 = 1;
const INT: u8 = 5;
const LONG: u8 = 6;
const TEXT: u8 = 9;

impl WireFormatInfo {
    /// What a client of this crate offers: loose encoding, no cache, no stack traces, and frames no larger than it
    /// accepts. `inactivity_ms` is the silence after which either side may hang up; 0 turns that off.
    #[must_use]
    pub fn offer(inactivity_ms: i64) -> Self {
        let off = Property::Boolean(false);
        let frame_bytes_max = i64::try_from(crate::FRAME_BYTES_MAX).unwrap_or(i64::MAX);
        let properties = [
            ("CacheEnabled", off.clone()),
            ("TightEncodingEnabled", off.clone()),
            ("StackTraceEnabled", off.clone()),
            ("SizePrefixDisabled", off),
            ("TcpNoDelayEnabled", Property::Boolean(true)),
            ("MaxInactivityDuration", Property::Long(inactivity_ms)),
            // The protocol spells it like this.
            ("MaxInactivityDurationInitalDelay", Property::Long(inactivity_ms)),
            ("MaxFrameSize", Property::Long(frame_bytes_max)),
            ("CacheSize", Property::Int(0)),
        ];
        let properties = properties.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Self { version: PROTOCOL_VERSION, properties }
    }

    /// The value of a property.
    #[must_use]
    pub fn property(&self, name: &str) -> Option<&Property> {
        self.properties.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// The value of a property that is a text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.property(name) {
            Some(Property::Text(value)) => Some(value),
            _ => None,
        }
    }

    pub(crate) fn write(&self, writer: &mut Writer) -> Result<(), WireError> {
        if self.properties.len() > PROPERTIES_MAX {
            return Err(WireError::TooLong { field: "the wire format" });
        }
        let mut block = Writer::default();
        block.i32(i32::try_from(self.properties.len()).unwrap_or(i32::MAX));
        for (name, value) in &self.properties {
            block.utf(name, "a property's name")?;
            match value {
                Property::Null => block.u8(NULL),
                Property::Boolean(value) => {
                    block.u8(BOOLEAN);
                    block.boolean(*value);
                }
                Property::Int(value) => {
                    block.u8(INT);
                    block.i32(*value);
                }
                Property::Long(value) => {
                    block.u8(LONG);
                    block.i64(*value);
                }
                Property::Text(value) => {
                    block.u8(TEXT);
                    let start = block.len();
                    block.utf(value, "a property")?;
                    if block.len() - start > VALUE_BYTES_MAX {
                        return Err(WireError::TooLong { field: "a property" });
                    }
                }
            }
        }
        let length = i32::try_from(block.len()).map_err(|_| WireError::TooLong { field: "the wire format" })?;
        writer.raw(MAGIC);
        writer.i32(self.version);
        writer.u8(1);
        writer.i32(length);
        writer.raw(&block.into_bytes());
        Ok(())
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        if reader.take(MAGIC.len(), "the magic")? != MAGIC {
            return Err(WireError::Magic);
        }
        let version = reader.i32("the version")?;
        if !reader.boolean("the properties")? {
            return Ok(Self { version, properties: vec![] });
        }
        let length = reader.i32("the properties")?;
        let length = usize::try_from(length).map_err(|_| WireError::Truncated { field: "the properties" })?;
        let mut block = Reader::new(reader.take(length, "the properties")?);
        // A negative count stands for an absent map.
        let count = usize::try_from(block.i32("the number of properties")?).unwrap_or(0);
        if count > PROPERTIES_MAX {
            return Err(WireError::TooLong { field: "the wire format" });
        }
        let properties = (0..count).map(|_| property(&mut block)).collect::<Result<_, _>>()?;
        Ok(Self { version, properties })
    }
}

fn property(block: &mut Reader<'_>) -> Result<(String, Property), WireError> {
    let name = block.utf("a property's name")?;
    let value = match block.u8("a property's type")? {
        NULL => Property::Null,
        BOOLEAN => Property::Boolean(block.boolean("a property")?),
        INT => Property::Int(block.i32("a property")?),
        LONG => Property::Long(block.i64("a property")?),
        TEXT => Property::Text(block.utf("a property")?),
        tag => return Err(WireError::PropertyType { tag }),
    };
    Ok((name, value))
}
