//! A browser without a window, steered through the protocol of Chromium's developer tools.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Folder, tool};

/// Chromium with one page.
pub struct Browser {
    browser: Child,
    commands: File,
    answers: BufReader<File>,
    session: String,
    next: u64,
    _folder: Folder,
}

impl Browser {
    /// Opens an address in a page of this size, in pixels. `flags` are Chromium's.
    pub fn open(name: &str, address: &str, (width, height): (u32, u32), flags: &[&str]) -> Self {
        let folder = Folder::new(&format!("browser-{name}"));
        let [to, from] = ["to", "from"].map(|pipe| folder.file(pipe));
        tool("mkfifo", &[&to, &from]);
        // Chromium reads commands from the file 3, and writes answers to the file 4.
        let script =
            r#"exec chromium --headless --no-sandbox --disable-gpu --remote-debugging-pipe "$@" 3<"$0" 4>"$FROM""#;
        let profile = format!("--user-data-dir={}", folder.file("profile"));
        let mut browser = Command::new("sh");
        browser.args(["-c", script, &to, &profile]).args(flags).arg("about:blank").env("FROM", &from);
        let browser = browser.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let commands = File::options().write(true).open(&to).unwrap();
        let answers = BufReader::new(File::open(&from).unwrap());
        let mut page = Self { browser, commands, answers, session: String::new(), next: 0, _folder: folder };
        let target = page.call("Target.createTarget", json!({ "url": "about:blank" }));
        let attached = page.call("Target.attachToTarget", json!({ "targetId": target["targetId"], "flatten": true }));
        let session = attached["sessionId"].as_str();
        session.expect("make test-web installs Chromium").clone_into(&mut page.session);
        let shape = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < height });
        page.call("Emulation.setDeviceMetricsOverride", shape);
        page.call("Page.navigate", json!({ "url": address }));
        page
    }

    /// Calls a method of the protocol, and returns its result.
    pub fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.next += 1;
        let mut message = json!({ "id": self.next, "method": method, "params": parameters });
        if !self.session.is_empty() {
            message["sessionId"] = json!(self.session);
        }
        self.commands.write_all(format!("{message}\0").as_bytes()).unwrap();
        loop {
            let mut answer = Vec::new();
            self.answers.read_until(0, &mut answer).unwrap();
            answer.pop();
            let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
            if answer["id"] == self.next {
                assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
                return answer["result"].clone();
            }
        }
    }

    /// The value of an expression of JavaScript in the page.
    pub fn value(&mut self, expression: &str) -> Value {
        let parameters = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        self.call("Runtime.evaluate", parameters)["result"]["value"].clone()
    }

    /// Waits until an expression is true.
    pub fn wait(&mut self, expression: &str) {
        let deadline = Instant::now() + Duration::from_mins(1);
        while self.value(&format!("Boolean({expression})")) != true {
            assert!(
                Instant::now() < deadline,
                "waited a minute for {expression}; {}",
                self.value("document.body.innerText")
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Presses the mouse in the middle of an element, and lets it go.
    pub fn click(&mut self, selector: &str) {
        let middle = format!(
            "(() => {{ const e = document.querySelector({selector:?}); e.scrollIntoView({{ block: 'center' }}); \
             const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; }})()"
        );
        let middle = self.value(&middle);
        for kind in ["mousePressed", "mouseReleased"] {
            let parameters = json!({ "type": kind, "x": middle[0], "y": middle[1], "button": "left", "clickCount": 1 });
            self.call("Input.dispatchMouseEvent", parameters);
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.browser.kill();
        let _ = self.browser.wait();
        // What is left in the pipe is not read.
        let _ = self.answers.get_mut().take(0);
    }
}
