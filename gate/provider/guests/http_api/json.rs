//! JSON (RFC 8259), as little of it as a template needs: a reader that keeps
//! numbers as they were written, a checker for text that is passed through, and
//! a writer.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

/// Deeper nesting than this is refused, so that no document can exhaust the
/// stack.
const MAX_DEPTH: u32 = 200;

/// A JSON value that borrows what it can from its source.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    Null,
    Bool(bool),
    Number(&'a str),
    Str(Cow<'a, str>),
    Array(Vec<Value<'a>>),
    Object(Vec<(Cow<'a, str>, Value<'a>)>),
}

impl<'a> Value<'a> {
    /// The member `key` of an object. Of two with one name the last counts, as
    /// it does for the host that validated the document.
    pub fn get(&self, key: &str) -> Option<&Value<'a>> {
        match self {
            Value::Object(members) => members.iter().rev().find(|(k, _)| k == key).map(|(_, v)| v),
            _ => None,
        }
    }

    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::Str(s) => Some(s),
            _ => None,
        }
    }
}

/// Reads a document; None where it is not one.
pub fn parse(src: &str) -> Option<Value> {
    let mut r = Reader { src, at: 0 };
    let v = r.value(0)?;
    r.end().then(|| v)
}

/// Whether `src` is a document, at a fraction of the cost of reading it.
pub fn is_valid(src: &str) -> bool {
    let mut r = Reader { src, at: 0 };
    r.skip(0).is_some() && r.end()
}

struct Reader<'a> {
    src: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.src.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\r' | b'\n') = self.peek() {
            self.at += 1;
        }
    }

    fn end(&mut self) -> bool {
        self.space();
        self.at == self.src.len()
    }

    /// The next byte that is not white space, consumed.
    fn token(&mut self) -> Option<u8> {
        self.space();
        let b = self.peek()?;
        self.at += 1;
        Some(b)
    }

    /// The next byte that is not white space, not consumed.
    fn look(&mut self) -> Option<u8> {
        self.space();
        self.peek()
    }

    fn value(&mut self, depth: u32) -> Option<Value<'a>> {
        if depth > MAX_DEPTH {
            return None;
        }
        match self.look()? {
            b'"' => Some(Value::Str(self.string()?)),
            b'{' => {
                let mut members = Vec::new();
                self.list(b'}', |r| {
                    let key = r.key()?;
                    members.push((key, r.value(depth + 1)?));
                    Some(())
                })?;
                Some(Value::Object(members))
            }
            b'[' => {
                let mut items = Vec::new();
                self.list(b']', |r| {
                    items.push(r.value(depth + 1)?);
                    Some(())
                })?;
                Some(Value::Array(items))
            }
            b'n' => self.word("null").map(|_| Value::Null),
            b't' => self.word("true").map(|_| Value::Bool(true)),
            b'f' => self.word("false").map(|_| Value::Bool(false)),
            _ => self.number().map(Value::Number),
        }
    }

    /// Passes over a value without keeping it.
    fn skip(&mut self, depth: u32) -> Option<()> {
        if depth > MAX_DEPTH {
            return None;
        }
        match self.look()? {
            b'"' => self.raw_string().map(|_| ()),
            b'{' => self.list(b'}', |r| {
                r.look().filter(|b| *b == b'"')?;
                r.raw_string()?;
                r.token().filter(|b| *b == b':')?;
                r.skip(depth + 1)
            }),
            b'[' => self.list(b']', |r| r.skip(depth + 1)),
            b'n' => self.word("null"),
            b't' => self.word("true"),
            b'f' => self.word("false"),
            _ => self.number().map(|_| ()),
        }
    }

    /// Reads the items between an opening bracket and `close`.
    fn list(&mut self, close: u8, mut item: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.at += 1;
        if self.look()? == close {
            self.at += 1;
            return Some(());
        }
        loop {
            item(self)?;
            match self.token()? {
                b',' => {}
                b if b == close => return Some(()),
                _ => return None,
            }
        }
    }

    fn key(&mut self) -> Option<Cow<'a, str>> {
        self.look().filter(|b| *b == b'"')?;
        let key = self.string()?;
        self.token().filter(|b| *b == b':')?;
        Some(key)
    }

    fn word(&mut self, word: &str) -> Option<()> {
        self.src[self.at..].starts_with(word).then(|| self.at += word.len())
    }

    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        (self.at > start).then(|| ())
    }

    fn number(&mut self) -> Option<&'a str> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek()? == b'0' {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Some(&self.src[start..self.at])
    }

    /// The text between two quotes, escapes left as they are, and whether there
    /// are any. Every escape is well formed.
    fn raw_string(&mut self) -> Option<(&'a str, bool)> {
        let bytes = self.src.as_bytes();
        self.at += 1;
        let start = self.at;
        let mut escaped = false;
        loop {
            self.at += plain(bytes.get(self.at..)?);
            match *bytes.get(self.at)? {
                b'"' => break,
                b'\\' => {
                    escaped = true;
                    self.at += 1;
                    match *bytes.get(self.at)? {
                        b'u' => {
                            hex4(bytes.get(self.at + 1..self.at + 5)?)?;
                            self.at += 4;
                        }
                        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
                        _ => return None,
                    }
                }
                0..=0x1f => return None,
                _ => {}
            }
            self.at += 1;
        }
        self.at += 1;
        Some((&self.src[start..self.at - 1], escaped))
    }

    fn string(&mut self) -> Option<Cow<'a, str>> {
        match self.raw_string()? {
            (raw, false) => Some(Cow::Borrowed(raw)),
            (raw, true) => unescape(raw).map(Cow::Owned),
        }
    }
}

/// The length of the run at the beginning of `text` that stands in a string as it
/// is: without a quote, a backslash and a control character.
fn plain(text: &[u8]) -> usize {
    const ONES: u64 = !0 / 255;
    let mut n = 0;
    for eight in text.chunks_exact(8) {
        let mut w = 0;
        for (i, b) in eight.iter().enumerate() {
            w |= u64::from(*b) << (8 * i);
        }
        // The high bit of each byte that is below a limit; those above the lowest
        // such byte may be set in error, so it is the lowest that counts.
        let below = |w: u64, limit: u64| w.wrapping_sub(ONES * limit) & !w;
        let hit = (below(w, 0x20) | below(w ^ (ONES * u64::from(b'"')), 1) | below(w ^ (ONES * u64::from(b'\\')), 1)) & (ONES * 0x80);
        if hit != 0 {
            return n + (hit.trailing_zeros() / 8) as usize;
        }
        n += 8;
    }
    let special = |b: &u8| *b < 0x20 || *b == b'"' || *b == b'\\';
    n + text[n..].iter().position(special).unwrap_or(text.len() - n)
}

fn hex4(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |n, d| Some(n << 4 | (*d as char).to_digit(16)?))
}

/// Decodes the escapes of a string that `raw_string` accepted. A surrogate
/// without its other half becomes U+FFFD.
fn unescape(raw: &str) -> Option<String> {
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(i) = rest.find('\\') {
        out.push_str(&rest[..i]);
        let escape = rest.as_bytes()[i + 1];
        rest = &rest[i + 2..];
        match escape {
            b'b' => out.push('\u{8}'),
            b'f' => out.push('\u{c}'),
            b'n' => out.push('\n'),
            b'r' => out.push('\r'),
            b't' => out.push('\t'),
            b'u' => {
                let mut c = hex4(&rest.as_bytes()[..4])?;
                rest = &rest[4..];
                if (0xd800..0xdc00).contains(&c) && rest.starts_with("\\u") {
                    let low = hex4(&rest.as_bytes()[2..6])?;
                    if (0xdc00..0xe000).contains(&low) {
                        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
                        rest = &rest[6..];
                    }
                }
                out.push(char::from_u32(c).unwrap_or('\u{fffd}'));
            }
            other => out.push(other as char),
        }
    }
    out.push_str(rest);
    Some(out)
}

/// Writes a value.
pub fn write(out: &mut String, v: &Value) {
    match v {
        Value::Null => out.push_str("null"),
        Value::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Value::Number(n) => out.push_str(n),
        Value::Str(s) => write_str(out, s),
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write(out, item);
            }
            out.push(']');
        }
        Value::Object(members) => {
            out.push('{');
            for (i, (key, member)) in members.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_str(out, key);
                out.push(':');
                write(out, member);
            }
            out.push('}');
        }
    }
}

/// Writes a string with its quotes.
pub fn write_str(out: &mut String, s: &str) {
    out.push('"');
    let mut rest = s;
    loop {
        let (as_it_is, special) = rest.split_at(plain(rest.as_bytes()));
        out.push_str(as_it_is);
        let b = match special.as_bytes().first() {
            Some(b) => *b,
            None => break,
        };
        rest = &special[1..];
        match b {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            _ => {
                out.push_str("\\u00");
                out.push(char::from_digit(u32::from(b >> 4), 16).unwrap_or('0'));
                out.push(char::from_digit(u32::from(b & 15), 16).unwrap_or('0'));
            }
        }
    }
    out.push('"');
}
