//! A value that is never printed.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The largest file that a secret is read from.
const FILE_BYTES_MAX: u64 = 65_536;

/// A password, token or key. Prints and serialises as `***`.
///
/// In the configuration it is a string, in which `${VAR}` was already replaced, or `{file: PATH}`; one line break at the
/// end of the file does not belong to it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides a value.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself. Hand it to the client that needs it and to nothing else.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("***")
    }
}

thread_local! {
    /// Where relative paths of secret files begin while a configuration is read; nothing if the files are not read.
    static FOLDER: RefCell<Option<PathBuf>> = const { RefCell::new(Some(PathBuf::new())) };
}

/// Reads something in which the paths of secret files are relative to a folder, that of the configuration. Outside of it
/// they are relative to the working directory. Without a folder the files are not read, and what they hold is empty.
pub fn secrets_from<T>(folder: Option<&Path>, read: impl FnOnce() -> T) -> T {
    let before = FOLDER.replace(folder.map(Path::to_owned));
    let done = read();
    FOLDER.set(before);
    done
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InFile {
    file: PathBuf,
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Secret;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or {file: PATH}")
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<Secret, E> {
                Ok(Secret::new(value))
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Secret, A::Error> {
                let source = InFile::deserialize(de::value::MapAccessDeserializer::new(map))?;
                read(&source).map_err(|error| {
                    de::Error::custom(format!("reading the secret from `{}`: {error}", source.file.display()))
                })
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

fn read(source: &InFile) -> std::io::Result<Secret> {
    let mut text = String::new();
    let Some(path) = FOLDER.with_borrow(|folder| Some(folder.as_ref()?.join(&source.file))) else {
        return Ok(Secret::new(""));
    };
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(std::io::Error::other(format!("larger than {FILE_BYTES_MAX} bytes")));
    }
    let value = text.strip_suffix('\n').unwrap_or(&text);
    Ok(Secret::new(value.strip_suffix('\r').unwrap_or(value)))
}

impl JsonSchema for Secret {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A secret: a string, best as `${VARIABLE}`, or `{file: PATH}`.",
            "anyOf": [
                { "type": "string" },
                {
                    "type": "object",
                    "properties": { "file": { "type": "string", "description": "The file that holds the secret." } },
                    "required": ["file"],
                    "additionalProperties": false
                }
            ]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_printed() {
        let secret: Secret = serde_json::from_str("\"hunter2\"").unwrap();
        assert_eq!(format!("{secret:?} {}", serde_json::to_string(&secret).unwrap()), "*** \"***\"");
        assert_eq!(secret.reveal(), "hunter2");
    }

    #[test]
    fn a_secret_is_read_from_a_file_without_its_last_line_break() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        std::fs::write(&path, "hunter2\r\n").unwrap();
        let secret: Secret = serde_json::from_value(serde_json::json!({ "file": path })).unwrap();
        assert_eq!(secret.reveal(), "hunter2");
    }

    #[test]
    fn a_relative_path_begins_at_the_folder_of_the_configuration() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("password"), "hunter2").unwrap();
        let read = || serde_json::from_str::<Secret>(r#"{"file":"password"}"#);
        assert_eq!(secrets_from(Some(folder.path()), read).unwrap().reveal(), "hunter2");
        assert!(read().is_err());
        assert_eq!(secrets_from(None, read).unwrap().reveal(), "", "the file is not read");
    }

    #[test]
    fn a_missing_or_huge_file_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        let read = || serde_json::from_value::<Secret>(serde_json::json!({ "file": path })).unwrap_err().to_string();
        assert!(read().contains("password"));
        std::fs::write(&path, "x".repeat(70_000)).unwrap();
        assert!(read().contains("larger than"));
    }
}
