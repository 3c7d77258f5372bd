//! What this provider says when there is no result.

use alloc::string::{String, ToString};

use crate::json;

/// A failure: a stable code and a sentence that never repeats a value.
#[derive(Debug)]
pub struct Fail {
    pub code: &'static str,
    pub message: String,
}

impl Fail {
    fn new(code: &'static str, message: &str) -> Fail {
        Fail { code, message: message.to_string() }
    }

    /// The manifest's template cannot be used, whatever the arguments.
    pub fn template(message: &str) -> Fail {
        Fail::new("template_invalid", message)
    }

    /// The argument `name` cannot stand where the template puts it.
    pub fn argument(name: &str, why: &str) -> Fail {
        Fail::new("argument_invalid", &["argument '", name, "' ", why].concat())
    }

    /// A place that cannot stay empty asks for an argument that is absent.
    pub fn missing(name: &str) -> Fail {
        Fail::new("argument_missing", &["argument '", name, "' is needed and absent"].concat())
    }

    /// The value of the header `name` would not stay one header.
    pub fn header(name: &str) -> Fail {
        Fail::new("argument_invalid", &["the value for header '", name, "' has a control character"].concat())
    }

    /// Something that the host promises did not hold.
    pub fn internal(message: &str) -> Fail {
        Fail::new("internal", message)
    }

    /// `http_request` returned a status in place of an answer.
    pub fn transport(status: i32) -> Fail {
        match status {
            -2 => Fail::new("bad_request", "the rendered request cannot be sent"),
            -3 => Fail::new("too_large", "the response is larger than max_host_response_bytes"),
            -4 => Fail::new("upstream_timeout", "the upstream did not answer in time"),
            -5 => Fail::new("upstream_unreachable", "the upstream gave no answer"),
            -6 => Fail::new("egress_denied", "this action may not use HTTP"),
            _ => Fail::internal("the host refused the request"),
        }
    }

    /// The error document.
    pub fn document(&self) -> String {
        let mut out = String::from("{\"error\":{\"code\":");
        json::write_str(&mut out, self.code);
        out.push_str(",\"message\":");
        json::write_str(&mut out, &self.message);
        out.push_str("}}");
        out
    }
}
