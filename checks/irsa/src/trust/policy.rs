//! The grammar of trust policies: one or many everywhere.

use preflight_report::KeysOnce;
use serde_json::{Map, Value};

/// The largest policy that is read; IAM stores at most 8192 characters.
const POLICY_BYTES_MAX: usize = 65_536;

/// A text is not a policy document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// It is not JSON.
    #[error("the trust policy is no JSON: {0}")]
    Json(String),
    /// One object has a key twice: two readers would see two policies.
    #[error("the trust policy is ambiguous: {0}")]
    Ambiguous(String),
    /// It is larger than any policy.
    #[error("the trust policy is larger than {POLICY_BYTES_MAX} bytes")]
    Size,
    /// It has no statements.
    #[error("the trust policy has no `Statement`")]
    NoStatement,
    /// A statement is not right.
    #[error("the trust policy: {statement}: {what}")]
    Statement {
        /// Which one.
        statement: String,
        /// What is wrong.
        what: String,
    },
}

#[derive(Clone, Debug)]
pub(super) struct Policy {
    /// Whether `${…}` is a variable: in the version of 2012 alone.
    pub(super) has_variables: bool,
    pub(super) statements: Vec<Statement>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Allow,
    Deny,
}

#[derive(Clone, Debug)]
pub(super) enum Principal {
    Everyone,
    /// Kind and name, for example `Federated` and an ARN.
    Only(Vec<(String, String)>),
    AllBut(Vec<(String, String)>),
}

#[derive(Clone, Debug)]
pub(super) struct Statement {
    /// `statement 1 (Sid)`.
    pub(super) name: String,
    pub(super) effect: Effect,
    pub(super) principal: Principal,
    pub(super) actions: Vec<String>,
    /// Whether the actions are those that the statement does not speak of.
    pub(super) not_action: bool,
    pub(super) conditions: Vec<Condition>,
    /// Elements that are not known here.
    pub(super) odd: Vec<String>,
}

#[derive(Clone, Debug)]
pub(super) struct Condition {
    pub(super) operator: String,
    pub(super) key: String,
    pub(super) values: Vec<String>,
}

impl Policy {
    pub(super) fn parse(text: &str) -> Result<Self, PolicyError> {
        if text.len() > POLICY_BYTES_MAX {
            return Err(PolicyError::Size);
        }
        let document: Value = serde_json::from_str(text).map_err(|error| PolicyError::Json(error.to_string()))?;
        serde_json::from_str::<KeysOnce>(text).map_err(|error| PolicyError::Ambiguous(error.to_string()))?;
        let statements = document.get("Statement").ok_or(PolicyError::NoStatement)?;
        let statements: Vec<&Value> = match statements {
            Value::Array(all) => all.iter().collect(),
            one => vec![one],
        };
        let has_variables = document.get("Version").and_then(Value::as_str) == Some("2012-10-17");
        let statements = statements.into_iter().enumerate().map(|(index, value)| statement(index, value));
        Ok(Self { has_variables, statements: statements.collect::<Result<_, _>>()? })
    }
}

fn statement(index: usize, value: &Value) -> Result<Statement, PolicyError> {
    let sid = value.get("Sid").and_then(Value::as_str).filter(|sid| !sid.is_empty());
    let name = sid.map_or(format!("statement {}", index + 1), |sid| format!("statement {} ({sid})", index + 1));
    read(&name, value).map_err(|what| PolicyError::Statement { statement: name.clone(), what })
}

fn read(name: &str, value: &Value) -> Result<Statement, String> {
    let fields = value.as_object().ok_or("it is not an object")?;
    let effect = match fields.get("Effect").and_then(Value::as_str) {
        Some("Allow") => Effect::Allow,
        Some("Deny") => Effect::Deny,
        _ => return Err("`Effect` is neither Allow nor Deny".to_owned()),
    };
    let principal = match (fields.get("Principal"), fields.get("NotPrincipal")) {
        (Some(value), None) => principal(value)?,
        (None, Some(value)) => match principal(value)? {
            Principal::Only(names) => Principal::AllBut(names),
            _ => return Err("`NotPrincipal` names nobody".to_owned()),
        },
        _ => return Err("it needs one of `Principal` and `NotPrincipal`".to_owned()),
    };
    let (actions, not_action) = match (fields.get("Action"), fields.get("NotAction")) {
        (Some(value), None) => (texts(value).ok_or("`Action` is not text")?, false),
        (None, Some(value)) => (texts(value).ok_or("`NotAction` is not text")?, true),
        _ => return Err("it needs one of `Action` and `NotAction`".to_owned()),
    };
    let known = ["Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Condition"];
    let odd = fields.keys().filter(|key| !known.contains(&key.as_str())).cloned().collect();
    let conditions = match fields.get("Condition") {
        None => vec![],
        Some(Value::Object(operators)) => conditions(operators)?,
        Some(_) => return Err("`Condition` is not an object".to_owned()),
    };
    Ok(Statement { name: name.to_owned(), effect, principal, actions, not_action, conditions, odd })
}

fn principal(value: &Value) -> Result<Principal, String> {
    let kinds = match value {
        Value::String(everyone) if everyone == "*" => return Ok(Principal::Everyone),
        Value::Object(kinds) => kinds,
        _ => return Err("the principal is neither `*` nor an object".to_owned()),
    };
    let mut names = vec![];
    for (kind, value) in kinds {
        for name in texts(value).ok_or("the principal is not text")? {
            if name == "*" && (kind == "AWS" || kind == "Federated") {
                return Ok(Principal::Everyone);
            }
            names.push((kind.clone(), name));
        }
    }
    Ok(Principal::Only(names))
}

fn conditions(operators: &Map<String, Value>) -> Result<Vec<Condition>, String> {
    let mut conditions = vec![];
    for (operator, keys) in operators {
        let keys = keys.as_object().ok_or_else(|| format!("the condition `{operator}` is not an object"))?;
        for (key, value) in keys {
            let values = texts(value).ok_or_else(|| format!("the condition `{operator}` on `{key}` is not text"))?;
            conditions.push(Condition { operator: operator.clone(), key: key.clone(), values });
        }
    }
    Ok(conditions)
}

/// One text or many; numbers and truth values count as texts.
fn texts(value: &Value) -> Option<Vec<String>> {
    let one = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        _ => None,
    };
    match value {
        Value::Array(all) => all.iter().map(one).collect(),
        value => one(value).map(|text| vec![text]),
    }
}
