//! A web server that keeps what is put into it: the objects of a cluster's API, or a bucket.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

type Things = Arc<Mutex<BTreeMap<String, String>>>;

/// The server. Its thread ends with the test's process.
pub(crate) struct Store {
    things: Things,
    pub(crate) url: String,
}

impl Store {
    pub(crate) fn start() -> Self {
        Self::at("127.0.0.1")
    }

    pub(crate) fn at(address: &str) -> Self {
        let listener = TcpListener::bind((address, 0)).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let things = Things::default();
        let shared = Arc::clone(&things);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let things = Arc::clone(&shared);
                // A client that breaks off is its own problem.
                std::thread::spawn(move || drop(serve(stream, &things)));
            }
        });
        Self { things, url }
    }

    pub(crate) fn put(&self, path: &str, thing: impl ToString) {
        self.things.lock().unwrap().insert(path.to_owned(), thing.to_string());
    }

    pub(crate) fn get(&self, path: &str) -> Option<String> {
        self.things.lock().unwrap().get(path).cloned()
    }

    pub(crate) fn remove(&self, path: &str) {
        self.things.lock().unwrap().remove(path);
    }

    /// A kubeconfig for it as a cluster, with the namespace `ops`.
    pub(crate) fn kubeconfig(&self) -> String {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{{name: c, cluster: {{server: '{}'}}}}]\n\
             users: [{{name: u, user: {{}}}}]\ncontexts: [{{name: c, context: {{cluster: c, user: u, namespace: ops}}}}]\n",
            self.url
        )
    }
}

fn serve(mut stream: TcpStream, things: &Things) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
    let path = target.split('?').next().unwrap_or_default().to_owned();
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        if header.trim().is_empty() {
            break;
        }
        if let Some(value) = header.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let (code, answer) = answer(&method, &path, String::from_utf8_lossy(&body).into_owned(), things);
    let kind = if path.ends_with("/log") { "text/plain" } else { "application/json" };
    let head = format!(
        "HTTP/1.1 {code} X\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        answer.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(answer.as_bytes())
}

fn answer(method: &str, path: &str, body: String, things: &Things) -> (u16, String) {
    let mut things = things.lock().unwrap();
    let missing = json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": 404,
                          "reason": "NotFound", "message": "not found" });
    match (method, things.get_mut(path)) {
        ("PUT", _) if path.starts_with("/forbidden") => (403, String::new()),
        ("PUT", _) => {
            things.insert(path.to_owned(), body);
            (200, String::new())
        }
        (_, None) => (404, missing.to_string()),
        ("PATCH", Some(thing)) => {
            let mut whole: Value = serde_json::from_str(thing).unwrap();
            match serde_json::from_str(&body).unwrap() {
                Value::Array(steps) if !steps.iter().all(|step| step_done(&mut whole, step)) => {
                    return (422, json!({ "kind": "Status", "code": 422, "message": "testing failed" }).to_string());
                }
                Value::Array(_) => {}
                patch => merge(&mut whole, &patch),
            }
            *thing = whole.to_string();
            (200, whole.to_string())
        }
        (_, Some(thing)) => (200, thing.clone()),
    }
}

/// RFC 7396.
fn merge(whole: &mut Value, patch: &Value) {
    let Some(fields) = patch.as_object() else { return *whole = patch.clone() };
    if !whole.is_object() {
        *whole = json!({});
    }
    for (key, value) in fields {
        match value {
            Value::Null => drop(whole.as_object_mut().unwrap().remove(key)),
            _ => merge(&mut whole[key], value),
        }
    }
}

/// RFC 6902, as far as it is used: a test, and members that are added.
fn step_done(whole: &mut Value, step: &Value) -> bool {
    let (path, value) = (step["path"].as_str().unwrap(), &step["value"]);
    let (place, key) = path.rsplit_once('/').unwrap();
    match (step["op"].as_str().unwrap(), whole.pointer_mut(place).and_then(Value::as_object_mut)) {
        ("test", Some(fields)) => fields.get(key) == Some(value),
        ("add", Some(fields)) => {
            fields.insert(key.to_owned(), value.clone());
            true
        }
        (_, None) => false,
        (op, _) => panic!("`{op}` is not answered here"),
    }
}
