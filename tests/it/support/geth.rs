//! A real geth on a small chain, by `scripts/geth`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tokio::runtime::Runtime;

/// A geth with a chain of some blocks; ends with this value.
pub(crate) struct Geth {
    dir: PathBuf,
    /// What `scripts/geth start` prints: all of it geth's own answers.
    pub(crate) chain: Value,
}

/// Whether tests against a real geth are wanted; says so if not.
pub(crate) fn geth_is_wanted() -> bool {
    let wanted = std::env::var_os("STATESYNC_TEST_GETH").is_some();
    if !wanted {
        eprintln!("left out: set STATESYNC_TEST_GETH=1 to test against a real geth");
    }
    wanted
}

fn script(arguments: &[&str]) -> Command {
    let mut script = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/geth"));
    script.args(arguments);
    script
}

fn json_of(arguments: &[&str]) -> Value {
    let output = script(arguments).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "scripts/geth {arguments:?}: {}", output.status);
    serde_json::from_slice(&output.stdout).unwrap()
}

impl Geth {
    pub(crate) fn start(dir: &Path, more: &[&str]) -> Self {
        // From here on it is stopped, whatever comes.
        let mut geth = Self { dir: dir.into(), chain: Value::Null };
        geth.chain = json_of(&[&["start", geth.dir()], more].concat());
        geth
    }

    /// Stops it cleanly; its chain stays.
    pub(crate) fn stop(&self) {
        assert!(script(&["stop", self.dir()]).status().unwrap().success());
    }

    /// Starts it again on its chain and at its old address.
    pub(crate) fn start_again(&mut self, more: &[&str]) {
        let port = self.url().rsplit(':').next().unwrap().to_owned();
        self.chain = json_of(&[&["start", self.dir(), "--port", &port], more].concat());
    }

    fn dir(&self) -> &str {
        self.dir.to_str().unwrap()
    }

    pub(crate) fn url(&self) -> &str {
        self.chain["url"].as_str().unwrap()
    }

    /// The block that the chain names so, with what geth counts in its state.
    pub(crate) fn block(&self, which: &str) -> &Value {
        let number = &self.chain[which];
        self.chain["blocks"].as_array().unwrap().iter().find(|block| block["number"] == *number).unwrap()
    }

    /// Adds blocks; gives its new `head`, what is on its disk, and the new `blocks`.
    pub(crate) fn grow(&self, blocks: u64) -> Value {
        json_of(&["grow", self.dir(), &blocks.to_string()])
    }

    /// A block with what geth counts in its state: by its number, or `head`, or `disk`.
    pub(crate) fn state(&self, which: &str) -> Value {
        json_of(&["state", self.dir(), which])
    }

    /// What it has under these keys of its database; nothing where it has none.
    pub(crate) fn read(&self, keys: &[String]) -> Vec<Option<String>> {
        let call = |(id, key)| json!({ "jsonrpc": "2.0", "id": id, "method": "debug_dbGet", "params": [key] });
        let body = Value::Array(keys.iter().enumerate().map(call).collect());
        let request = reqwest::Client::new().post(self.url()).header("content-type", "application/json");
        let reply = Runtime::new().unwrap().block_on(async {
            let reply = request.body(body.to_string()).send().await.unwrap();
            reply.bytes().await.unwrap()
        });
        let elements: Vec<Value> = serde_json::from_slice(&reply).unwrap();
        assert_eq!(elements.len(), keys.len(), "{elements:?}");
        elements.iter().map(|element| Some(element["result"].as_str()?.to_owned())).collect()
    }
}

impl Drop for Geth {
    fn drop(&mut self) {
        let _ = script(&["stop", self.dir()]).status();
    }
}
