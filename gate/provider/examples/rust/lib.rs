//! A provider for latchgate in Rust: it fetches a text and counts it.
//!
//!     rustc --edition 2021 --target wasm32-unknown-unknown --crate-type cdylib \
//!         -O -C panic=abort -C strip=symbols -C link-arg=-zstack-size=65536 -o provider.wasm lib.rs
//!
//! It has no dependencies, so that it builds anywhere; with Cargo, set
//! crate-type = ["cdylib"] and use serde_json for the documents. The functions
//! and documents are those of docs/provider-abi.md.

/// Called once. 0: the output is the result; anything else: it is the error.
#[no_mangle]
pub extern "C" fn execute() -> i32 {
    match run() {
        Ok(result) => {
            host::write(&result);
            0
        }
        Err(message) => {
            host::write(&format!(r#"{{"error":{{"code":"count_failed","message":"{}"}}}}"#, message));
            1
        }
    }
}

fn run() -> Result<String, &'static str> {
    let input = String::from_utf8(host::input()).map_err(|_| "the input is not UTF-8")?;
    let url = string_member(&input, "url").ok_or("the argument url is missing")?;
    // There is no credential to add: latchgate does that on the way.
    let request = format!(r#"{{"method":"GET","url":"{}","headers":[["accept","text/plain"]]}}"#, url);
    let (response, body) = host::http(&request, &[]).map_err(|status| match status {
        -4 => "the upstream took too long",
        _ => "the request failed",
    })?;
    if !response.starts_with(r#"{"status":200,"#) {
        return Err("the upstream did not answer with 200");
    }
    let text = String::from_utf8(body).map_err(|_| "the answer is not text")?;
    host::info("the text is there");
    Ok(format!(
        r#"{{"ok":true,"lines":{},"words":{},"bytes":{}}}"#,
        text.lines().count(),
        text.split_whitespace().count(),
        text.len()
    ))
}

/// The member `name` of a document, as it is written between its quotes. Enough
/// for a URL; use a JSON library for anything else.
fn string_member<'a>(doc: &'a str, name: &str) -> Option<&'a str> {
    let start = doc.find(&format!(r#""{}":""#, name))? + name.len() + 4;
    let member = &doc[start..];
    let end = member.find('"')?;
    (!member[..end].contains('\\')).then(|| &member[..end])
}

/// The host's functions, made safe. This part is the same in every provider.
mod host {
    pub fn input() -> Vec<u8> {
        read(unsafe { abi::input_size() }, abi::input_read)
    }

    /// Sends a request: the response document and the body, or a status below 0.
    pub fn http(request: &str, body: &[u8]) -> Result<(String, Vec<u8>), i32> {
        let n = unsafe { abi::http_request(request.as_ptr(), request.len(), body.as_ptr(), body.len()) };
        if n < 0 {
            return Err(n);
        }
        let response = String::from_utf8_lossy(&read(n, abi::response_read)).into_owned();
        Ok((response, read(unsafe { abi::body_size() }, abi::body_read)))
    }

    pub fn write(doc: &str) {
        unsafe { abi::output_write(doc.as_ptr(), doc.len()) };
    }

    pub fn info(msg: &str) {
        unsafe { abi::log(1, msg.as_ptr(), msg.len()) };
    }

    fn read(size: i32, from: unsafe extern "C" fn(*mut u8, usize) -> i32) -> Vec<u8> {
        let mut buf = vec![0; size.max(0) as usize];
        let n = unsafe { from(buf.as_mut_ptr(), buf.len()) };
        buf.truncate(n.max(0) as usize);
        buf
    }

    mod abi {
        #[link(wasm_import_module = "latchgate")]
        extern "C" {
            pub fn input_size() -> i32;
            pub fn input_read(buf: *mut u8, size: usize) -> i32;
            pub fn http_request(head: *const u8, head_size: usize, body: *const u8, body_size: usize) -> i32;
            pub fn response_read(buf: *mut u8, size: usize) -> i32;
            pub fn body_size() -> i32;
            pub fn body_read(buf: *mut u8, size: usize) -> i32;
            pub fn output_write(doc: *const u8, size: usize) -> i32;
            pub fn log(level: i32, msg: *const u8, size: usize) -> i32;
        }
    }
}
