//! The host functions of `latchgate` ABI 1, made safe.

use alloc::{vec, vec::Vec};

/// The answer to a request: the response document and the raw body.
pub struct Response {
    pub head: Vec<u8>,
    pub body: Vec<u8>,
}

/// The input document.
pub fn input() -> Vec<u8> {
    read(unsafe { abi::input_size() }, abi::input_read)
}

/// Sends a request and waits for its answer; the error is the host's status.
pub fn http_request(head: &str, body: &[u8]) -> Result<Response, i32> {
    // The host copies both before it returns.
    let n = unsafe { abi::http_request(head.as_ptr(), head.len(), body.as_ptr(), body.len()) };
    if n < 0 {
        return Err(n);
    }
    Ok(Response {
        head: read(n, abi::response_read),
        body: read(unsafe { abi::body_size() }, abi::body_read),
    })
}

/// Makes `doc` the output of this execution.
pub fn write_output(doc: &[u8]) {
    unsafe { abi::output_write(doc.as_ptr(), doc.len()) };
}

/// Reads a document of `size` bytes into a buffer of our own.
fn read(size: i32, from: unsafe extern "C" fn(*mut u8, usize) -> i32) -> Vec<u8> {
    let mut buf = vec![0; size.max(0) as usize];
    // The host writes at most buf.len() bytes and says how many.
    let n = unsafe { from(buf.as_mut_ptr(), buf.len()) };
    buf.truncate(n.max(0) as usize);
    buf
}

#[cfg(target_arch = "wasm32")]
mod abi {
    #[link(wasm_import_module = "latchgate")]
    extern "C" {
        pub fn input_size() -> i32;
        pub fn input_read(ptr: *mut u8, len: usize) -> i32;
        pub fn http_request(head: *const u8, head_len: usize, body: *const u8, body_len: usize) -> i32;
        pub fn response_read(ptr: *mut u8, len: usize) -> i32;
        pub fn body_size() -> i32;
        pub fn body_read(ptr: *mut u8, len: usize) -> i32;
        pub fn output_write(ptr: *const u8, len: usize) -> i32;
    }
}
