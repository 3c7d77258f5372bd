//! Request bodies.

use alloc::borrow::Cow;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::url;
use crate::encode;
use crate::fail::Fail;
use crate::json::{self, Value};
use crate::pieces::{self, Kind, Piece};

/// How a body is written, by its Content-Type.
#[derive(Clone, Copy, PartialEq)]
enum Format {
    /// None was given: what the template is decides.
    Unset,
    Json,
    Form,
    /// XML and HTML: text is escaped.
    Markup,
    /// Text without structure.
    Text,
    /// Anything else: a body that is one variable, or has none.
    Opaque,
}

impl Format {
    fn of(content_type: Option<&str>) -> Format {
        let content_type = match content_type {
            Some(c) => c.to_ascii_lowercase(),
            None => return Format::Unset,
        };
        let media = content_type.split(';').next().unwrap_or("").trim();
        match media {
            "application/x-www-form-urlencoded" => Format::Form,
            m if m.ends_with("/json") || m.ends_with("+json") => Format::Json,
            m if m.ends_with("xml") || m.ends_with("html") => Format::Markup,
            m if m.starts_with("text/") => Format::Text,
            _ => Format::Opaque,
        }
    }
}

type Body = (Vec<u8>, &'static str);

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";

/// Renders body_template: the bytes, and the Content-Type that says what they
/// are where the template's headers don't. None: no body.
pub fn render(template: Option<&Value>, args: &Value, content_type: Option<&str>) -> Result<Option<Body>, Fail> {
    let format = Format::of(content_type);
    match template {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Str(s)) => render_text(s, args, format),
        Some(t) => fill(t, args)?.map(|v| structured(&v, format)).transpose(),
    }
}

/// A body_template that is a string.
fn render_text(template: &str, args: &Value, format: Format) -> Result<Option<Body>, Fail> {
    let pieces = pieces::split(template)?;
    if let [Piece::Var { kind: Kind::Plain, name }] = pieces[..] {
        // The argument is the whole body: there is nothing around it to break.
        return match args.get(name) {
            None => Ok(None),
            Some(Value::Str(s)) if format != Format::Json => Ok(Some((s.as_bytes().to_vec(), TEXT))),
            Some(v) => structured(v, format).map(Some),
        };
    }
    if pieces::all_absent(&pieces, args) {
        return Ok(None);
    }
    let verbatim = |out: &mut String, s: &str| out.push_str(s);
    let text = match format {
        Format::Form => url::params(&pieces, args)?,
        Format::Markup => pieces::fill(&pieces, args, encode::markup)?,
        Format::Unset | Format::Text => pieces::fill(&pieces, args, verbatim)?,
        Format::Json => {
            let mut out = String::new();
            json::write_str(&mut out, &pieces::fill(&pieces, args, verbatim)?);
            out
        }
        Format::Opaque => match pieces[..] {
            [] => String::new(),
            [Piece::Text(t)] => t.to_string(),
            _ => return Err(Fail::template("a body of this Content-Type can be one variable, but not text with variables in it")),
        },
    };
    Ok(Some((text.into_bytes(), TEXT)))
}

/// Writes a value as a form or as JSON.
fn structured(v: &Value, format: Format) -> Result<Body, Fail> {
    let mut out = String::new();
    match (format, v) {
        (Format::Form, Value::Object(_)) => form(&mut out, "", v),
        (Format::Form, _) => return Err(Fail::template("a form's body_template must be an object")),
        _ => json::write(&mut out, v),
    }
    Ok((out.into_bytes(), JSON))
}

/// Fills a structured template. A string that is exactly one variable becomes
/// the argument's value with its type; None where that is absent, and then the
/// member or item that would hold it is left out.
fn fill<'a>(template: &Value<'a>, args: &Value<'a>) -> Result<Option<Value<'a>>, Fail> {
    Ok(Some(match template {
        Value::Str(s) => return fill_string(s, args),
        Value::Array(items) => {
            let mut out = Vec::with_capacity(items.len());
            for item in items {
                out.extend(fill(item, args)?);
            }
            Value::Array(out)
        }
        Value::Object(members) => {
            let mut out = Vec::with_capacity(members.len());
            for (key, member) in members {
                if pieces::has_variable(key) {
                    return Err(Fail::template("a member's name in body_template cannot have variables"));
                }
                if let Some(v) = fill(member, args)? {
                    out.push((key.clone(), v));
                }
            }
            Value::Object(out)
        }
        other => other.clone(),
    }))
}

fn fill_string<'a>(template: &str, args: &Value<'a>) -> Result<Option<Value<'a>>, Fail> {
    let pieces = pieces::split(template)?;
    if let [Piece::Var { kind: Kind::Plain, name }] = pieces[..] {
        return Ok(args.get(name).cloned());
    }
    if pieces::all_absent(&pieces, args) {
        return Ok(None);
    }
    let text = pieces::fill(&pieces, args, |out, s| out.push_str(s))?;
    Ok(Some(Value::Str(Cow::Owned(text))))
}

/// Writes application/x-www-form-urlencoded: lists repeat their name, objects
/// and lists of objects use brackets (a[b]=…, a[0][b]=…), null is left out.
fn form(out: &mut String, name: &str, v: &Value) {
    match v {
        Value::Null => {}
        Value::Object(members) => {
            for (key, member) in members {
                if name.is_empty() {
                    form(out, key, member);
                } else {
                    form(out, &[name, "[", key, "]"].concat(), member);
                }
            }
        }
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                match item {
                    Value::Array(_) | Value::Object(_) => form(out, &[name, "[", &decimal(i), "]"].concat(), item),
                    _ => form(out, name, item),
                }
            }
        }
        _ => {
            if !out.is_empty() {
                out.push('&');
            }
            encode::percent(out, name);
            out.push('=');
            encode::percent(out, &pieces::text(v));
        }
    }
}

/// A number in digits, without core's formatting of any value in any shape.
fn decimal(n: usize) -> String {
    let mut out = if n < 10 { String::new() } else { decimal(n / 10) };
    out.push((b'0' + (n % 10) as u8) as char);
    out
}
