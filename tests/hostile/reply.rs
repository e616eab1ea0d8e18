//! Bodies that mean harm.

use std::io::Write;
use std::sync::OnceLock;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use super::Body;

/// How deep what is nested is nested.
const DEPTH: usize = 100_000;

/// Bytes of what is meant to fill memory: more than a client takes in.
const MUCH: usize = 20 << 20;

/// What a bomb unpacks to.
const BOMB: usize = 256 << 20;

/// Makes bodies.
pub(super) struct Reply {
    seed: u64,
}

impl Reply {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// The packed body of a bomb, made once.
    pub(super) fn bomb() -> &'static [u8] {
        static PACKED: OnceLock<Vec<u8>> = OnceLock::new();
        PACKED.get_or_init(|| {
            let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
            let spaces = vec![b' '; 1 << 20];
            for _ in 0..BOMB / spaces.len() {
                bomb.write_all(&spaces).unwrap();
            }
            bomb.finish().unwrap()
        })
    }

    /// The body for a request; of one that comes slowly or is cut off, all of it.
    pub(super) fn body(&self, body: Body, request: &[u8]) -> Vec<u8> {
        let deep = || "[".repeat(DEPTH) + &"]".repeat(DEPTH);
        let fill = |piece: &str| piece.repeat(MUCH / piece.len());
        let text = match body {
            Body::DeepResult => format!(r#"[{{"jsonrpc":"2.0","id":0,"result":{}}}]"#, deep()),
            Body::DeepId => format!(r#"[{{"jsonrpc":"2.0","id":{},"result":"0x00"}}]"#, deep()),
            Body::DeepError => {
                format!(r#"[{{"id":0,"error":{{"code":-32000,"message":"x","data":{}}}}}]"#, deep())
            }
            Body::DeepReply => r#"{"id":"#.repeat(DEPTH) + "0" + &"}".repeat(DEPTH),
            Body::WideError => {
                // As much as is taken in for the smallest request.
                let data = "[],".repeat(80_000);
                format!(r#"[{{"id":0,"error":{{"code":-32000,"message":"x","data":[{data}0]}}}}]"#)
            }
            Body::CountlessElements => format!("[{}{{}}]", fill("{},")),
            Body::GiantIds => {
                let (long, big) = ("7".repeat(1 << 20), "1".to_owned() + &"0".repeat(400));
                format!(r#"[{{"id":"{long}","result":"0x00"}},{{"id":{big},"result":"0x00"}},{{"id":1e400}}]"#)
            }
            Body::Shouting => {
                let shout = r"\u001b]0;owned\u0007\u001b[2J\r\u202e".repeat(30_000);
                let error = format!(r#"{{"code":-32000,"message":"{shout}"}}"#);
                let each = calls(request).into_iter().map(|id| format!(r#"{{"id":{id},"error":{error}}}"#));
                format!("[{}]", each.take(1).collect::<String>())
            }
            Body::InvalidUtf8 => return [b"[{\"id\":0,\"result\":\"0x".as_slice(), &[0xff; 64], b"\"}]"].concat(),
            Body::BadHex => self.batch(request, |number| match number % 4 {
                0 => "0xabc".into(),
                1 => "abcd".into(),
                2 => "0xzz".into(),
                _ => "0x\\u0030\\u0030".into(),
            }),
            Body::Lies | Body::Slow | Body::CutOff | Body::Endless | Body::GzipBomb => {
                self.batch(request, |number| format!("0x{}", lie(self.seed ^ number)))
            }
        };
        text.into_bytes()
    }

    fn batch(&self, request: &[u8], result: impl Fn(u64) -> String) -> String {
        let ids = calls(request);
        let each = ids.iter().zip(self.seed..).map(|(id, number)| {
            let result = result(number);
            format!(r#"{{"jsonrpc":"2.0","id":{id},"result":"{result}"}}"#)
        });
        format!("[{}]", each.collect::<Vec<_>>().join(","))
    }
}

/// Some hundred bytes in hex.
fn lie(number: u64) -> String {
    format!("{:016x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15)).repeat(12)
}

/// The ids of a request's calls.
fn calls(request: &[u8]) -> Vec<Value> {
    match serde_json::from_slice(request) {
        Ok(Value::Array(calls)) => calls.iter().map(|call| call["id"].clone()).collect(),
        Ok(call) => vec![call["id"].clone()],
        Err(_) => Vec::new(),
    }
}

/// The answer of a peer that offers nothing of what is asked.
pub(super) fn courtesy(request: &[u8]) -> String {
    let error = json!({ "code": -32601, "message": "the method does not exist/is not available" });
    let answer = |id: Value| json!({ "jsonrpc": "2.0", "id": id, "error": error });
    let answers: Vec<Value> = calls(request).into_iter().map(answer).collect();
    let is_batch = request.trim_ascii_start().starts_with(b"[");
    if is_batch { Value::from(answers).to_string() } else { answers.first().map(Value::to_string).unwrap_or_default() }
}
