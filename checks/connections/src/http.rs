//! The few HTTP requests that management interfaces need: JSON, Basic authentication, one connection each.

use crate::address::Address;
use crate::line::{Failure, Line, Patience};
use crate::settings::{Engine, Tls};
use base64::Engine as _;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use preflight_core::{CannotTell, Reason, Secret};
use serde_json::Value;
use url::Url;

/// The largest answer that is read.
const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A management interface with an account.
pub(crate) struct Management<'a> {
    pub engine: Engine,
    /// Its URL as configured.
    pub url: &'a str,
    pub tls: &'a Tls,
    pub username: &'a str,
    pub password: Option<&'a Secret>,
    pub patience: Patience,
}

impl Management<'_> {
    /// Reads a resource. `path` is appended to the configured URL and is already encoded.
    pub(crate) async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.request(Method::GET, path, None).await
    }

    /// Sends a question.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.request(Method::POST, path, Some(body)).await
    }

    async fn request(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        let url = Url::parse(self.url).map_err(|error| wrong(&format!("is not one: {error}")))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("holds an account; it belongs under `observer`"));
        }
        let host = url.host_str().ok_or_else(|| wrong("has no host"))?;
        let port = url.port_or_known_default().ok_or_else(|| wrong("has no port"))?;
        let tls = match (url.scheme(), self.tls) {
            ("http", _) => &Tls::Off,
            ("https", Tls::Off) => &Tls::System,
            ("https", tls) => tls,
            _ => return Err(wrong("is neither http nor https")),
        };
        let address = Address { host: host.trim_matches(['[', ']']).to_owned(), port };
        let target = format!("{}{path}", url.path().trim_end_matches('/'));
        let text = body.map(Value::to_string).unwrap_or_default();
        let request = Request::builder()
            .method(method)
            .uri(&target)
            .header(header::HOST, format!("{host}:{port}"))
            .header(header::AUTHORIZATION, self.authorization())
            .header(header::CONTENT_TYPE, "application/json")
            // Newer Jolokia answers nobody who does not say where they come from.
            .header(header::ORIGIN, format!("{}://{host}", url.scheme()))
            .body(Full::new(Bytes::from(text)))
            .map_err(|error| wrong(&format!("cannot be asked for {target}: {error}")))?;
        let line = Line::open(self.engine, &address, tls, self.patience).await?;
        let asked = format!("asking {address} for {target}");
        let unclear = |reason, why: &str| Failure::Unclear(CannotTell::new(reason, format!("{asked}: {why}")));
        let (status, body) = match tokio::time::timeout(self.patience.handshake, exchange(line, request)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(unclear(Reason::Unreachable, &error)),
            Err(_) => return Err(unclear(Reason::Unreachable, "no answer in time")),
        };
        match status {
            StatusCode::OK => serde_json::from_slice(&body)
                .map_err(|error| unclear(Reason::Unsupported, &format!("the answer is no JSON: {error}"))),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Err(unclear(Reason::Forbidden, &format!("{status} for `{}`", self.username)))
            }
            status => Err(unclear(Reason::Unreachable, status.as_str())),
        }
    }

    fn authorization(&self) -> String {
        let password = self.password.map_or("", Secret::reveal);
        let pair = format!("{}:{password}", self.username);
        format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
    }
}

/// Without the URL itself: whoever writes an account into it shall not find it in a report.
fn wrong(what: &str) -> Failure {
    Failure::Unclear(CannotTell::prerequisite(format!("the URL of the management interface {what}")))
}

async fn exchange(line: Line, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), String> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(line)).await.map_err(|error| error.to_string())?;
    let driver = tokio::spawn(connection);
    let answer = async {
        let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
        let status = response.status();
        let body =
            Limited::new(response.into_body(), BODY_BYTES_MAX).collect().await.map_err(|error| error.to_string())?;
        Ok((status, body.to_bytes()))
    };
    let answer = answer.await;
    driver.abort();
    answer
}

/// Encodes one segment of a path.
pub(crate) fn segment(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_virtual_host_is_one_segment() {
        assert_eq!(segment("/"), "%2F");
        assert_eq!(segment("shop-1 \u{e9}"), "shop-1%20%C3%A9");
    }

    #[tokio::test]
    async fn a_wrong_url_is_said_before_anything_is_asked() {
        let ask = |url| async move {
            let management = Management {
                engine: Engine::RabbitMq,
                url,
                tls: &Tls::Off,
                username: "observer",
                password: Some(&Secret::new("hunter2")),
                patience: Patience::default(),
            };
            let Err(Failure::Unclear(reason)) = management.get("/api/nodes").await else { panic!("unclear") };
            assert!(!reason.detail.contains("hunter2"));
            reason.detail
        };
        assert!(ask("rabbit:15672").await.contains("has no host"));
        assert!(ask("ftp://rabbit").await.contains("neither http nor https"));
        assert!(ask("rabbit").await.contains("is not one"));
        assert!(ask("http://observer:hunter2@rabbit").await.contains("belongs under `observer`"));
    }
}
