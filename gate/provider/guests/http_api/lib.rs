//! builtin:http_api renders the template of a manifest with the arguments of a
//! call, sends that one request, and reports the answer.
//!
//! The rules that keep an argument from becoming structure are in `render`;
//! `docs/provider-abi.md` tells them to the authors of manifests. Only `host`
//! and `memory` hold unsafe code.
//!
//! There is no std: its way to panic, which nobody would see, is most of a
//! module's size and of the table that each instance is made with.

#![no_std]
#![feature(alloc_error_handler)]

extern crate alloc;

mod encode;
mod fail;
mod host;
mod json;
mod memory;
mod pieces;
mod render;
mod report;

use alloc::string::String;
use fail::Fail;
use json::Value;

/// Called by the host once in the life of this instance. 0: the output is the
/// result document; 1: it is an error document.
#[no_mangle]
pub extern "C" fn execute() -> i32 {
    let input = host::input();
    let (output, status) = match run(&input) {
        Ok(result) => (result, 0),
        Err(fail) => (fail.document(), 1),
    };
    // An output over the limit is the host's to report.
    host::write_output(output.as_bytes());
    status
}

fn run(input: &[u8]) -> Result<String, Fail> {
    let input = core::str::from_utf8(input).ok().and_then(json::parse);
    let input = input.ok_or_else(|| Fail::internal("the input is not a JSON document"))?;
    let args = input.get("args").unwrap_or(&Value::Null);
    let template = match input.get("template") {
        Some(t) => t,
        None => return Err(Fail::template("the manifest has no template")),
    };
    let request = render::request(template, args)?;
    let response = host::http_request(&request.document(), &request.body).map_err(Fail::transport)?;
    report::result(&response)
}
