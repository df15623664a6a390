//! YAML and JSON as a tree in which every value knows its line.

use crate::InventoryError;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;
use std::fmt;

/// The most documents in all files together.
pub(crate) const DOCUMENTS_MAX: usize = 100_000;

/// The most scalars, lists and mappings in one file.
const NODES_MAX: usize = 4_000_000;

/// The deepest nesting. Schemas of custom resources come half as far.
const DEPTH_MAX: usize = 128;

/// The stack for that depth: the parser takes up to 40 kB for each level in a debug build.
const STACK_BYTES: usize = 32 * 1024 * 1024;

/// The most values that aliases may add to one file. Nobody writes that many by hand; a bomb does.
const REPLAYED_MAX: usize = 500_000;

/// The most text in one file, text that aliases repeat included.
const TEXT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A value and its place.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// Its line in a file, from 1; in an object of the API how many values begin before it.
    pub place: u64,
    /// Its column in a file, from 1; 0 in an object of the API.
    pub column: u64,
    pub tree: Tree,
}

/// A value.
#[derive(Clone, Debug)]
pub(crate) enum Tree {
    Null,
    Bool(bool),
    /// As it would be written in decimal.
    Number(String),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

impl Node {
    /// Whether both say the same, wherever they stand.
    pub(crate) fn says_the_same_as(&self, other: &Self) -> bool {
        match (&self.tree, &other.tree) {
            (Tree::Null, Tree::Null) => true,
            (Tree::Bool(one), Tree::Bool(two)) => one == two,
            (Tree::Number(one), Tree::Number(two)) | (Tree::Text(one), Tree::Text(two)) => one == two,
            (Tree::List(one), Tree::List(two)) => {
                one.len() == two.len() && one.iter().zip(two).all(|(one, two)| one.says_the_same_as(two))
            }
            (Tree::Map(one), Tree::Map(two)) => {
                one.len() == two.len()
                    && one
                        .iter()
                        .all(|(key, one)| two.iter().any(|(other, two)| key == other && one.says_the_same_as(two)))
            }
            _ => false,
        }
    }

    /// The path of the value at a place of this object, for example `spec.template.spec.containers[0].image`.
    pub(crate) fn path_of(&self, place: u64) -> String {
        let mut path = String::new();
        let mut node = self;
        while node.place != place {
            // Places grow from first to last, so the value is in the last one that does not begin after it.
            let next = match &node.tree {
                Tree::List(items) => {
                    let index = items.partition_point(|item| item.place <= place).checked_sub(1);
                    index.and_then(|index| Some((format!("[{index}]"), items.get(index)?)))
                }
                Tree::Map(fields) => {
                    let index = fields.partition_point(|(_, field)| field.place <= place).checked_sub(1);
                    index.and_then(|index| fields.get(index)).map(|(name, field)| (step(name), field))
                }
                _ => None,
            };
            let Some((step, inner)) = next else { break };
            path.push_str(&step);
            node = inner;
        }
        path.trim_start_matches('.').to_owned()
    }
}

/// The part of a path that leads to a field.
fn step(name: &str) -> String {
    let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if is_plain { format!(".{name}") } else { format!("[{name}]") }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Of a value that an alias repeats, the place where it is written down is the one to look at.
        let Spanned { value, defined, .. } = Spanned::<Tree>::deserialize(deserializer)?;
        Ok(Self { place: defined.line(), column: defined.column(), tree: value })
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

/// How a visitor reads what is no list and no mapping.
macro_rules! scalars {
    () => {
        fn visit_unit<E>(self) -> Result<Tree, E> {
            Ok(Tree::Null)
        }

        fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
            Ok(Tree::Bool(value))
        }

        fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
            Ok(Tree::Number(value.to_string()))
        }

        fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
            Ok(Tree::Number(value.to_string()))
        }

        fn visit_i128<E>(self, value: i128) -> Result<Tree, E> {
            Ok(Tree::Number(value.to_string()))
        }

        fn visit_u128<E>(self, value: u128) -> Result<Tree, E> {
            Ok(Tree::Number(value.to_string()))
        }

        fn visit_f64<E>(self, value: f64) -> Result<Tree, E> {
            Ok(Tree::Number(value.to_string()))
        }

        fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
            Ok(Tree::Text(value.to_owned()))
        }

        fn visit_string<E>(self, value: String) -> Result<Tree, E> {
            Ok(Tree::Text(value))
        }
    };
}
pub(crate) use scalars;

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    scalars!();

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Tree, A::Error> {
        let mut items = vec![];
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Tree::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Tree, A::Error> {
        let mut fields = vec![];
        while let Some(field) = access.next_entry()? {
            fields.push(field);
        }
        Ok(Tree::Map(fields))
    }
}

/// The documents in a file; empty ones are left out.
pub(crate) fn parse(file: &str, text: &str) -> Result<Vec<Node>, InventoryError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let parsed = std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
        let failed = |error| InventoryError::Read { path: file.into(), error };
        let running = thread.spawn_scoped(scope, || deserialize(text)).map_err(failed)?;
        Ok(running.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })?;
    parsed.map_err(|Wrong { line, column, message }| InventoryError::Syntax {
        file: file.to_owned(),
        line,
        column,
        message: if is_template(text, line) {
            "this is a template; expected what it renders to, for example with `helm template`".to_owned()
        } else {
            message
        },
    })
}

/// An error of the parser.
struct Wrong {
    line: u64,
    column: u64,
    message: String,
}

fn deserialize(text: &str) -> Result<Vec<Node>, Wrong> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_documents: DOCUMENTS_MAX,
            max_nodes: NODES_MAX,
            max_events: 2 * NODES_MAX,
            max_depth: DEPTH_MAX,
            max_total_scalar_bytes: TEXT_BYTES_MAX,
            // A few anchors that are used often are no bomb; what they add is limited below.
            enforce_alias_anchor_ratio: false,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: REPLAYED_MAX,
        },
        duplicate_keys: serde_saphyr::DuplicateKeyPolicy::Error,
        non_finite_float_policy: serde_saphyr::options::NonFiniteFloatPolicy::AsString,
        // An excerpt of the file could show a secret.
        with_snippet: false,
    };
    serde_saphyr::from_multiple_with_options(text, options).map_err(|error| {
        let (line, column) = error.location().map_or((0, 0), |place| (place.line(), place.column()));
        Wrong { line, column, message: message(&error) }
    })
}

fn is_template(text: &str, line: u64) -> bool {
    let index = usize::try_from(line).ok().and_then(|line| line.checked_sub(1));
    index.and_then(|index| text.lines().nth(index)).is_some_and(|line| line.contains("{{"))
}

/// What the parser says, without the place, which stands beside it.
fn message(error: &serde_saphyr::Error) -> String {
    let text = error.without_snippet().to_string();
    let text = text.lines().next().unwrap_or_default();
    text.split(" at line ").next().unwrap_or(text).trim().to_owned()
}
