//! Template and arguments in, one request out.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::fail::Fail;
use crate::json::{self, Value};
use crate::pieces;

mod body;
mod url;

/// The request to send.
#[derive(Debug)]
pub struct Request {
    pub method: String,
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    /// The request document of ABI 1.
    pub fn document(&self) -> String {
        let mut out = String::from("{\"method\":");
        json::write_str(&mut out, &self.method);
        out.push_str(",\"url\":");
        json::write_str(&mut out, &self.url);
        out.push_str(",\"headers\":[");
        for (i, (name, value)) in self.headers.iter().enumerate() {
            out.push_str(if i > 0 { ",[" } else { "[" });
            json::write_str(&mut out, name);
            out.push(',');
            json::write_str(&mut out, value);
            out.push(']');
        }
        out.push_str("]}");
        out
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// Adds a header that the template does not set itself.
    fn default_header(&mut self, name: &str, value: &str) {
        if self.header(name).is_none() {
            self.headers.push((name.to_string(), value.to_string()));
        }
    }
}

/// Renders a manifest's template.
pub fn request(template: &Value, args: &Value) -> Result<Request, Fail> {
    let url = template.get("url_template").and_then(Value::as_str);
    let url = url.ok_or_else(|| Fail::template("the template has no url_template"))?;
    let mut request = Request {
        method: template.get("method").and_then(Value::as_str).filter(|m| !m.is_empty()).unwrap_or("GET").to_ascii_uppercase(),
        url: url::render(url, args)?,
        headers: headers(template.get("headers"), args)?,
        body: Vec::new(),
    };
    let rendered = body::render(template.get("body_template"), args, request.header("content-type"))?;
    if let Some((body, content_type)) = rendered {
        request.body = body;
        request.default_header("Content-Type", content_type);
    }
    request.default_header("User-Agent", "latchgate");
    Ok(request)
}

/// Renders the headers. A value with a control character is refused, so that
/// none can start a header, or a request, of its own.
fn headers(template: Option<&Value>, args: &Value) -> Result<Vec<(String, String)>, Fail> {
    let mut out = Vec::new();
    let members = match template {
        Some(Value::Object(members)) => members,
        _ => return Ok(out),
    };
    for (name, value) in members {
        if pieces::has_variable(name) {
            return Err(Fail::template("a header's name cannot have variables"));
        }
        let value = value.as_str().ok_or_else(|| Fail::template("a header's value must be a string"))?;
        let pieces = pieces::split(value)?;
        if pieces::all_absent(&pieces, args) {
            continue;
        }
        let value = pieces::fill(&pieces, args, |out, s| out.push_str(s))?;
        if value.bytes().any(|b| (b < 0x20 && b != b'\t') || b == 0x7f) {
            return Err(Fail::header(name));
        }
        out.push((name.to_string(), value));
    }
    Ok(out)
}
