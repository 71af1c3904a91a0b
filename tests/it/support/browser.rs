// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A real browser without a screen, steered over a pipe, and a site whose pages it opens.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use serde_json::{Value, json};

use super::process::{DEADLINE, Place};

/// A browser with one page, ended when it is dropped.
pub(crate) struct Browser {
    child: Child,
    commands: ChildStdin,
    messages: Receiver<Value>,
    commands_sent: u64,
    session: Value,
}

impl Browser {
    /// Starts it with a profile of its own.
    pub(crate) fn start(place: &Place) -> Self {
        // The protocol is spoken on the descriptors 3 and 4.
        let script = "exec chromium \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1";
        let mut command: Command = place.command("/bin/sh");
        command.args(["-c", script, "sh"]);
        command.args([
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
        ]);
        command.args(["--disable-dev-shm-usage", "--remote-debugging-pipe"]);
        command.arg(format!(
            "--user-data-dir={}",
            place.path("profile").display()
        ));
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();

        let commands = child.stdin.take().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let (sender, messages) = channel();
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            while output
                .read_until(0, &mut bytes)
                .is_ok_and(|count| count > 0)
            {
                let message = serde_json::from_slice(&bytes[..bytes.len() - 1]);
                if message.is_ok_and(|message| sender.send(message).is_err()) {
                    return;
                }
                bytes.clear();
            }
        });

        let mut browser = Self {
            child,
            commands,
            messages,
            commands_sent: 0,
            session: Value::Null,
        };
        let target = browser.ask("Target.createTarget", json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        browser.session = browser.ask("Target.attachToTarget", attach)["sessionId"].clone();
        browser
    }

    /// Opens an address as if somebody had typed it, and waits until it is loaded; the text of the page.
    pub(crate) fn open(&mut self, url: &str) -> String {
        self.ask("Page.navigate", json!({ "url": url }));
        self.loaded()
    }

    /// Waits until the page is loaded; its text.
    pub(crate) fn loaded(&mut self) -> String {
        let text = self.run(
            "new Promise(resolve => document.readyState === 'complete' ? resolve() : \
             addEventListener('load', resolve)).then(() => document.body.innerText)",
        );
        text.as_str().unwrap_or_default().to_owned()
    }

    /// What a script on the page comes to. If the page goes meanwhile, the script runs in the next one.
    pub(crate) fn run(&mut self, script: &str) -> Value {
        let parameters =
            json!({ "expression": script, "awaitPromise": true, "returnByValue": true });
        loop {
            let answer = self.call("Runtime.evaluate", &parameters);
            let error = answer["error"]["message"].as_str().unwrap_or_default();
            if GONE.iter().any(|words| error.contains(words)) {
                continue;
            }
            assert!(answer["error"].is_null(), "{script}: {answer}");
            return answer["result"]["result"]["value"].clone();
        }
    }

    fn ask(&mut self, method: &str, parameters: Value) -> Value {
        let answer = self.call(method, &parameters);
        assert!(answer["error"].is_null(), "{method}: {answer}");
        answer["result"].clone()
    }

    /// Sends a command; the whole answer to it.
    fn call(&mut self, method: &str, parameters: &Value) -> Value {
        self.commands_sent += 1;
        let id = self.commands_sent;
        let mut message = json!({ "id": id, "method": method, "params": parameters });
        if !self.session.is_null() {
            message["sessionId"] = self.session.clone();
        }
        self.commands
            .write_all(format!("{message}\0").as_bytes())
            .unwrap();

        loop {
            // Events come in between.
            let message = self.messages.recv_timeout(DEADLINE).unwrap();
            if message["id"] == id {
                return message;
            }
        }
    }
}

/// What the browser says of a page that was left while a script ran in it.
const GONE: [&str; 3] = [
    "navigated or closed",
    "context was destroyed",
    "Cannot find context",
];

impl Drop for Browser {
    fn drop(&mut self) {
        // All of its processes end with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A site of its own that answers every request with this page; its URL, whose host is another one than
/// that of the servers under test.
pub(crate) fn site(page: &str) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!(
        "http://localhost:{}/",
        listener.local_addr().unwrap().port()
    );
    let page = page.to_owned();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            // One read is enough: a browser sends its small heads at once.
            let _ = stream.read(&mut [0; 8192]);
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n";
            let answer = format!("{head}Content-Length: {}\r\n\r\n{page}", page.len());
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    url
}
