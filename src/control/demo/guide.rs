//! What to try while the demo runs.

use std::fmt::Write as _;
use std::io::Write as _;

use super::stage::Stage;

/// Prints the guide to standard output, above the log lines to come.
pub(super) fn show(stage: &Stage) {
    // Without a terminal to read it the demo is as good as with one.
    let _ = std::io::stdout().lock().write_all(text(stage).as_bytes());
}

/// A line to run, and what it shows.
struct Step {
    shows: &'static str,
    command: String,
}

fn text(stage: &Stage) -> String {
    let mut text = format!(
        "\nPortcullis is serving.\n\n  HTTPS   https://localhost:{}\n  HTTP    http://localhost:{}\n  admin   http://127.0.0.1:{}\n  config  {}\n\nTry, in a second terminal:\n",
        stage.https,
        stage.http,
        stage.admin,
        stage.config_file().display()
    );
    for Step { shows, command } in requests(stage).into_iter().chain(changes(stage)) {
        // Writing to a String does not fail.
        let _ = write!(text, "\n# {shows}\n{command}\n");
    }
    text.push_str("\nCtrl-C stops the demo and removes its files.\n\n");
    text
}

fn requests(stage: &Stage) -> Vec<Step> {
    let ca = stage.ca_file();
    let curl = format!("curl -s --cacert {}", ca.display());
    let (https, http, admin) = (stage.https, stage.http, stage.admin);
    let token = stage.token_file();
    let step = |shows, command| Step { shows, command };
    vec![
        step(
            "HTTPS with the demo's own CA; the backend lists the headers it was sent",
            format!("{curl} https://localhost:{https}/hello"),
        ),
        step(
            "nine requests, shared 5 : 3 : 1 by weight",
            format!("{curl} 'https://localhost:{https}/who?[1-9]' | sort | uniq -c"),
        ),
        step(
            "HTTP/2 by default, HTTP/1.1 when asked for",
            format!(
                "{curl} -o /dev/null -w '%{{http_version}}\\n' https://localhost:{https}/who\n{curl} --http1.1 -o /dev/null -w '%{{http_version}}\\n' https://localhost:{https}/who"
            ),
        ),
        step("a rewrite: the backend is asked for /who", format!("{curl} https://localhost:{https}/api/who")),
        step("a fixed response", format!("{curl} -i https://localhost:{https}/teapot")),
        step("a redirect from HTTP to HTTPS", format!("curl -si http://localhost:{http}/secure/place")),
        step(
            "a refusal says why in Proxy-Status: an encoded slash is ambiguous",
            format!("{curl} -i https://localhost:{https}/a%2fb"),
        ),
        step("the gateway's own status page", format!("{curl} https://localhost:{https}/ping")),
        step(
            "metrics, for those who hold the token",
            format!("curl -s -H \"Authorization: Bearer $(cat {})\" http://127.0.0.1:{admin}/metrics", token.display()),
        ),
    ]
}

fn changes(stage: &Stage) -> Vec<Step> {
    let config = stage.config_file();
    let step = |shows, command| Step { shows, command };
    vec![
        step(
            "edit the config and save: here the teapot's status, live at once",
            format!(
                "sed -i 's/status = 418/status = 503/' {}\ncurl -s -o /dev/null -w '%{{http_code}}\\n' --cacert {} https://localhost:{}/teapot",
                config.display(),
                stage.ca_file().display(),
                stage.https
            ),
        ),
        step(
            "move a new certificate in place: open connections stay, new ones get it",
            format!(
                "mv {}/* {}/\ncurl -sv -o /dev/null --cacert {} https://localhost:{}/ 2>&1 | grep 'subject:'",
                stage.spare_certificates().display(),
                stage.certificates().display(),
                stage.ca_file().display(),
                stage.https
            ),
        ),
    ]
}
