//! The template language: text with `{{name}}` in it, and nothing more.

use alloc::string::String;
use alloc::vec::Vec;

use crate::fail::Fail;
use crate::json::{self, Value};

/// A run of template text, or a variable.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Piece<'t> {
    Text(&'t str),
    Var { kind: Kind, name: &'t str },
}

/// What stands before the colon of a variable.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    Plain,
    /// `{{path:name}}`, which may contain slashes.
    Path,
    /// `{{query:name}}`, an object that becomes query parameters.
    Query,
}

/// Takes a template apart.
pub fn split(template: &str) -> Result<Vec<Piece>, Fail> {
    let mut pieces = Vec::new();
    let mut rest = template;
    while let Some(open) = find(rest, b"{{") {
        if open > 0 {
            pieces.push(Piece::Text(&rest[..open]));
        }
        rest = &rest[open + 2..];
        let close = find(rest, b"}}").ok_or_else(|| Fail::template("a '{{' of the template has no '}}'"))?;
        pieces.push(variable(rest[..close].trim())?);
        rest = &rest[close + 2..];
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    Ok(pieces)
}

/// Where the two bytes first stand: str's own search makes itself ready for
/// needles and texts that are longer than these.
fn find(text: &str, two: &[u8; 2]) -> Option<usize> {
    text.as_bytes().windows(2).position(|w| w == two)
}

/// Whether there is a variable in `text`, or the beginning of one.
pub fn has_variable(text: &str) -> bool {
    find(text, b"{{").is_some()
}

fn variable(inner: &str) -> Result<Piece, Fail> {
    let (kind, name) = match inner.split_once(':') {
        None => (Kind::Plain, inner),
        Some(("path", name)) => (Kind::Path, name),
        Some(("query", name)) => (Kind::Query, name),
        Some(_) => return Err(Fail::template("a variable is {{name}}, {{path:name}} or {{query:name}}")),
    };
    let named = |b: u8| b.is_ascii_alphanumeric() || b"_-.".contains(&b);
    if name.is_empty() || !name.bytes().all(named) {
        return Err(Fail::template("a variable's name has letters, digits, '_', '-' and '.' only"));
    }
    Ok(Piece::Var { kind, name })
}

/// The value of a variable where text is wanted: null counts as absent there.
pub fn lookup<'v, 'a>(args: &'v Value<'a>, name: &str) -> Option<&'v Value<'a>> {
    args.get(name).filter(|v| **v != Value::Null)
}

/// Whether the pieces have variables and none of them has a value. Such a
/// parameter, header or member is left out.
pub fn all_absent(pieces: &[Piece], args: &Value) -> bool {
    let mut vars = 0;
    for p in pieces {
        if let Piece::Var { name, .. } = p {
            if lookup(args, name).is_some() {
                return false;
            }
            vars += 1;
        }
    }
    vars > 0
}

/// Appends a value as text: a string as it is, everything else as JSON.
pub fn text(v: &Value) -> String {
    let mut out = String::new();
    match v {
        Value::Str(s) => out.push_str(s),
        _ => json::write(&mut out, v),
    }
    out
}

/// The text of a value that has to be a string, a number or a boolean.
pub fn scalar(name: &str, v: &Value) -> Result<String, Fail> {
    match v {
        Value::Array(_) | Value::Object(_) => Err(Fail::argument(name, "must be a string, a number or a boolean here")),
        _ => Ok(text(v)),
    }
}

/// Fills text in: each variable's value, put through `escape`. Absent ones are
/// empty. What a value brings along is never looked at again.
pub fn fill(pieces: &[Piece], args: &Value, escape: impl Fn(&mut String, &str)) -> Result<String, Fail> {
    let mut out = String::new();
    for p in pieces {
        match p {
            Piece::Text(t) => out.push_str(t),
            Piece::Var { kind: Kind::Plain, name } => {
                if let Some(v) = lookup(args, name) {
                    escape(&mut out, &text(v));
                }
            }
            Piece::Var { .. } => return Err(Fail::template("{{path:…}} and {{query:…}} belong in url_template")),
        }
    }
    Ok(out)
}
