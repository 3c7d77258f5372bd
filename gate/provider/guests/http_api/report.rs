//! The answer of the upstream in, the result document out.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::encode;
use crate::fail::Fail;
use crate::host::Response;
use crate::json::{self, Value};

/// Writes the result document. JSON that the upstream says is JSON, and that is,
/// is passed through as it was written; other text becomes a string; anything
/// else becomes base64.
pub fn result(response: &Response) -> Result<String, Fail> {
    let head = core::str::from_utf8(&response.head).ok().and_then(json::parse);
    let head = head.ok_or_else(|| Fail::internal("the host's response is not a JSON document"))?;
    let status = match head.get("status") {
        Some(Value::Number(n)) => *n,
        _ => return Err(Fail::internal("the host's response has no status")),
    };
    let ok = status.parse::<u32>().map_or(false, |n| n < 400);

    let mut out = String::with_capacity(response.body.len() + response.head.len() + 128);
    out.push_str(if ok { "{\"ok\":true,\"status\":" } else { "{\"ok\":false,\"status\":" });
    out.push_str(status);
    out.push_str(",\"headers\":");
    let content_type = write_headers(&mut out, &head);
    write_body(&mut out, &response.body, is_json(&content_type));
    out.push('}');
    Ok(out)
}

/// Writes the headers as an object, one name's values joined by commas, and
/// returns the Content-Type. The host lists them sorted, names in lower case.
fn write_headers(out: &mut String, head: &Value) -> String {
    let mut headers: Vec<(&str, String)> = Vec::new();
    if let Some(Value::Array(pairs)) = head.get("headers") {
        for pair in pairs {
            if let Value::Array(pair) = pair {
                if let [Value::Str(name), Value::Str(value)] = &pair[..] {
                    match headers.last_mut() {
                        Some((last, joined)) if last == name => {
                            joined.push_str(", ");
                            joined.push_str(value);
                        }
                        _ => headers.push((name, value.to_string())),
                    }
                }
            }
        }
    }
    let mut content_type = String::new();
    out.push('{');
    for (i, (name, value)) in headers.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        json::write_str(out, name);
        out.push(':');
        json::write_str(out, value);
        if *name == "content-type" {
            content_type = value.to_ascii_lowercase();
        }
    }
    out.push('}');
    content_type
}

fn is_json(content_type: &str) -> bool {
    let media = content_type.split(';').next().unwrap_or("").trim();
    media.ends_with("/json") || media.ends_with("+json")
}

fn write_body(out: &mut String, body: &[u8], says_json: bool) {
    match core::str::from_utf8(body) {
        Ok("") => out.push_str(",\"body\":null"),
        Ok(text) if says_json && json::is_valid(text) => {
            out.push_str(",\"body\":");
            out.push_str(text);
        }
        Ok(text) => {
            out.push_str(",\"body\":");
            json::write_str(out, text);
        }
        Err(_) => {
            out.push_str(",\"body_base64\":\"");
            encode::base64(out, body);
            out.push('"');
        }
    }
}
