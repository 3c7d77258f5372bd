//! URLs. The template decides where a request goes; an argument fills the place
//! that it is given and cannot end it.

use alloc::string::{String, ToString};
use alloc::{vec, vec::Vec};

use crate::encode::percent;
use crate::fail::Fail;
use crate::json::Value;
use crate::pieces::{self, Kind, Piece};

/// Renders url_template.
pub fn render(template: &str, args: &Value) -> Result<String, Fail> {
    let pieces = pieces::split(template)?;
    if let [Piece::Var { kind: Kind::Plain, name }] = pieces[..] {
        return whole(name, args);
    }
    if pieces.iter().any(|p| matches!(p, Piece::Text(t) if t.bytes().any(|b| b == b'#' || b == b'\\'))) {
        return Err(Fail::template("url_template cannot have a fragment or a backslash"));
    }
    let (scheme, rest) = match pieces.split_first() {
        Some((Piece::Text(t), rest)) => (*t, rest),
        _ => return Err(no_scheme()),
    };
    let scheme_is = |s: &&&str| scheme.starts_with(**s);
    let host_at = ["https://", "http://"].iter().find(scheme_is).map(|s| s.len());
    let (scheme, first) = scheme.split_at(host_at.ok_or_else(no_scheme)?);
    let mut pieces = rest.to_vec();
    if !first.is_empty() {
        pieces.insert(0, Piece::Text(first));
    }

    let (authority, rest) = cut(&pieces, b"/?");
    let (path, query) = cut(&rest, b"?");
    let mut out = scheme.to_string();
    render_authority(&mut out, &authority, args)?;
    render_path(&mut out, &path, args)?;
    let query = params(&query, args)?;
    if !query.is_empty() {
        out.push('?');
        out.push_str(&query);
    }
    Ok(out)
}

fn no_scheme() -> Fail {
    Fail::template("url_template must begin with https:// or http://, or be one variable")
}

/// Cuts pieces in two before the first of `at` in the template's own text.
fn cut<'t>(pieces: &[Piece<'t>], at: &[u8]) -> (Vec<Piece<'t>>, Vec<Piece<'t>>) {
    for (i, p) in pieces.iter().enumerate() {
        if let Piece::Text(t) = p {
            if let Some(pos) = t.bytes().position(|b| at.contains(&b)) {
                let mut before = pieces[..i].to_vec();
                if pos > 0 {
                    before.push(Piece::Text(&t[..pos]));
                }
                let mut after = vec![Piece::Text(&t[pos..])];
                after.extend_from_slice(&pieces[i + 1..]);
                return (before, after);
            }
        }
    }
    (pieces.to_vec(), Vec::new())
}

/// The argument that a place which cannot stay empty asks for.
fn required(name: &str, args: &Value) -> Result<String, Fail> {
    match pieces::lookup(args, name) {
        Some(v) => pieces::scalar(name, v),
        None => Err(Fail::missing(name)),
    }
}

/// A variable in the authority is one label of the name, or all of the host
/// where it stands alone, as in https://{{host}}/ or https://{{host}}:8443/.
fn render_authority(out: &mut String, pieces: &[Piece], args: &Value) -> Result<(), Fail> {
    for (i, p) in pieces.iter().enumerate() {
        match p {
            Piece::Text(t) if t.contains('@') => return Err(Fail::template("url_template cannot have user information")),
            Piece::Text(t) => out.push_str(t),
            Piece::Var { kind: Kind::Plain, name } => {
                let v = required(name, args)?;
                let alone = i == 0
                    && match pieces.get(1) {
                        None => true,
                        Some(Piece::Text(t)) => t.starts_with(':'),
                        Some(_) => false,
                    };
                let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || (alone && b == b'.');
                if v.is_empty() || !v.bytes().all(fits) {
                    return Err(Fail::argument(name, if alone { "must be a host name" } else { "must be one label of a host name" }));
                }
                out.push_str(&v);
            }
            Piece::Var { .. } => return Err(Fail::template("{{path:…}} and {{query:…}} cannot stand in the host")),
        }
    }
    Ok(())
}

/// A variable in the path is one segment, or a part of one; {{path:…}} may be
/// several. A segment that an argument made empty or made of dots would be
/// another path, so it is refused.
fn render_path(out: &mut String, pieces: &[Piece], args: &Value) -> Result<(), Fail> {
    let mut seg = Segment { text: String::new(), from: None };
    for (i, p) in pieces.iter().enumerate() {
        match p {
            Piece::Text(t) => {
                for (n, part) in t.split('/').enumerate() {
                    if n > 0 {
                        seg.close(out)?;
                        out.push('/');
                    }
                    seg.text.push_str(part);
                }
            }
            Piece::Var { kind: Kind::Plain, name } => seg.add(name, &required(name, args)?),
            Piece::Var { kind: Kind::Path, name } => {
                let v = required(name, args)?;
                // "/user/repos" after "https://host/" is what people write.
                let v = if seg.text.is_empty() { v.strip_prefix('/').unwrap_or(&v) } else { &v };
                let last = i + 1 == pieces.len();
                let v = if last && v.ends_with('/') && v.len() > 1 { &v[..v.len() - 1] } else { v };
                for (n, part) in v.split('/').enumerate() {
                    if n > 0 {
                        seg.close(out)?;
                        out.push('/');
                    }
                    seg.add(name, part);
                }
            }
            Piece::Var { .. } => return Err(Fail::template("{{query:…}} belongs after the '?'")),
        }
    }
    seg.close(out)
}

/// The path segment being written.
struct Segment<'t> {
    text: String,
    from: Option<&'t str>, // the last argument in it
}

impl<'t> Segment<'t> {
    fn add(&mut self, name: &'t str, value: &str) {
        self.from = Some(name);
        percent(&mut self.text, value);
    }

    fn close(&mut self, out: &mut String) -> Result<(), Fail> {
        if let Some(name) = self.from.take() {
            // The template may spell a dot as %2e.
            let plain = match self.text.bytes().any(|b| b == b'%') {
                true => self.text.replace("%2e", ".").replace("%2E", "."),
                false => self.text.clone(),
            };
            if plain.is_empty() || plain == "." || plain == ".." {
                return Err(Fail::argument(name, "makes a path segment that is empty, '.' or '..'"));
            }
        }
        out.push_str(&self.text);
        self.text.clear();
        Ok(())
    }
}

/// Renders the parameters of a query or of a form that is written as text. A
/// parameter whose variables are all absent is left out; name={{list}} becomes
/// name=a&name=b.
pub fn params(pieces: &[Piece], args: &Value) -> Result<String, Fail> {
    let mut out = String::new();
    for param in split_params(pieces) {
        if pieces::all_absent(&param, args) {
            continue;
        }
        match param[..] {
            [Piece::Var { kind: Kind::Query, name }] => spread(&mut out, name, args)?,
            [Piece::Text(key), Piece::Var { kind: Kind::Plain, name }] if key.ends_with('=') => {
                match pieces::lookup(args, name) {
                    Some(Value::Array(items)) => {
                        for item in items {
                            pair(&mut out, key, &pieces::scalar(name, item)?);
                        }
                    }
                    Some(v) => pair(&mut out, key, &pieces::scalar(name, v)?),
                    None => {}
                }
            }
            _ => mixed(&mut out, &param, args)?,
        }
    }
    Ok(out)
}

/// Appends one parameter; `key` ends with '=' and is encoded already.
fn pair(out: &mut String, key: &str, value: &str) {
    if !out.is_empty() {
        out.push('&');
    }
    out.push_str(key);
    percent(out, value);
}

/// Appends a parameter of text and variables in any order.
fn mixed(out: &mut String, param: &[Piece], args: &Value) -> Result<(), Fail> {
    if !out.is_empty() {
        out.push('&');
    }
    for p in param {
        match p {
            Piece::Text(t) => out.push_str(t),
            Piece::Var { kind: Kind::Plain, name } => {
                if let Some(v) = pieces::lookup(args, name) {
                    percent(out, &pieces::scalar(name, v)?);
                }
            }
            Piece::Var { kind: Kind::Path, .. } => return Err(Fail::template("{{path:…}} cannot stand in the query")),
            Piece::Var { kind: Kind::Query, .. } => return Err(Fail::template("{{query:…}} must be a whole parameter")),
        }
    }
    Ok(())
}

/// Appends the members of an object as parameters.
fn spread(out: &mut String, name: &str, args: &Value) -> Result<(), Fail> {
    let members = match pieces::lookup(args, name) {
        Some(Value::Object(members)) => members,
        _ => return Err(Fail::argument(name, "must be an object of query parameters")),
    };
    for (key, value) in members {
        let mut prefix = String::new();
        percent(&mut prefix, key);
        prefix.push('=');
        match value {
            Value::Null => {}
            Value::Array(items) => {
                for item in items {
                    pair(out, &prefix, &pieces::scalar(name, item)?);
                }
            }
            v => pair(out, &prefix, &pieces::scalar(name, v)?),
        }
    }
    Ok(())
}

/// Splits pieces at the '&' of the template's own text; empty ones are dropped.
fn split_params<'t>(pieces: &[Piece<'t>]) -> Vec<Vec<Piece<'t>>> {
    let mut params = vec![Vec::new()];
    for (i, p) in pieces.iter().enumerate() {
        match p {
            Piece::Text(t) => {
                let t = if i == 0 { t.strip_prefix('?').unwrap_or(t) } else { t };
                for (n, part) in t.split('&').enumerate() {
                    if n > 0 {
                        params.push(Vec::new());
                    }
                    if let (false, Some(param)) = (part.is_empty(), params.last_mut()) {
                        param.push(Piece::Text(part));
                    }
                }
            }
            var => params.last_mut().into_iter().for_each(|param| param.push(*var)),
        }
    }
    params.retain(|param| !param.is_empty());
    params
}

/// A template that is one variable takes a whole URL. It is checked for what
/// could make two readers see two targets; where it may go is the wire's
/// business.
fn whole(name: &str, args: &Value) -> Result<String, Fail> {
    let url = required(name, args)?;
    let url = url.split('#').next().unwrap_or("");
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let rest = rest.ok_or_else(|| Fail::argument(name, "must be an absolute http or https URL"))?;
    let authority = rest.split(&['/', '?'][..]).next().unwrap_or("");
    let in_host = |b: u8| b.is_ascii_alphanumeric() || b".-:[]".contains(&b);
    if authority.is_empty() || !authority.bytes().all(in_host) {
        return Err(Fail::argument(name, "must have a plain host name and no user information"));
    }
    let mut out = String::with_capacity(url.len());
    for c in url.chars() {
        match c {
            '\\' | '\0'..='\x1f' | '\x7f' => return Err(Fail::argument(name, "must be a URL without control characters and backslashes")),
            ' ' | '"' | '<' | '>' | '^' | '`' | '{' | '|' | '}' | '\u{80}'..=char::MAX => percent(&mut out, c.encode_utf8(&mut [0; 4])),
            _ => out.push(c),
        }
    }
    Ok(out)
}
