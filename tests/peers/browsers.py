"""nghttp and a headless Chromium against the gateway: a page with its parts over HTTP/2, and a WebSocket opened from it."""

import http.server
import os
import queue
import re
import subprocess
import threading
from pathlib import Path

from ground import PATIENCE, Ground

PARTS = 60
PAGE = f"""<!doctype html>
<title>Portcullis</title>
<link rel="stylesheet" href="/part/style.css">
{"".join(f'<img src="/part/{number}.svg">' for number in range(PARTS))}
<script>
const told = what => fetch("/told", {{ method: "POST", body: JSON.stringify(what) }});
const socket = new WebSocket(`wss://${{location.host}}/echo`);
const started = new Promise((done, failed) => {{
  socket.onopen = () => socket.send("from the page");
  socket.onmessage = message => done(message.data);
  socket.onerror = socket.onclose = () => failed("no WebSocket");
}});
window.onload = async () => {{
  const entries = [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")];
  const shown = [...document.images].filter(image => image.complete && image.naturalWidth).length;
  const protocols = [...new Set(entries.map(entry => entry.nextHopProtocol))];
  told({{ protocols, shown, socket: await started.catch(why => why) }});
}};
</script>
"""
PART = '<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10"><rect width="10" height="10"/></svg>'


def main():
    with Ground() as ground:
        site = Site()
        echo = ground.python("websocket_rooms.py", "h1")
        gateway = ground.gateway(f"""
[[route]]
path = "/echo"
pool = ["http://127.0.0.1:{echo.port}"]
[[route]]
pool = ["http://127.0.0.1:{site.port}"]
""")
        url = f"https://localhost:{gateway.port}/"
        by_nghttp(url)
        browser = Browser(ground, ground.ca)
        by_chromium(browser, site, url)
        # All is in the log once it has ended.
        gateway.end()
        print("the gateway's log of the tunnel:", tunnel(gateway))
        by_demo(ground)


class Site:
    """The page, its parts, and what the page tells."""

    def __init__(self):
        told = self.told = queue.Queue()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                kind = {"svg": "image/svg+xml", "css": "text/css"}.get(self.path.rpartition(".")[2], "text/html")
                self.answer(PAGE if self.path == "/" else PART if kind == "image/svg+xml" else "", kind)

            def do_POST(self):
                told.put(self.rfile.read(int(self.headers["Content-Length"])).decode())
                self.answer("", "text/plain")

            def answer(self, text, kind):
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            # Five, where it is not said, which is fewer than the parts of the page that come at once.
            request_queue_size = 128

        server = Server(("127.0.0.1", 0), Handler)
        self.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()


class Browser:
    """A Chromium that trusts one CA, keeps nothing, and knows no host but this one."""

    FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
             "--disable-component-update", "--disable-sync", "--disable-extensions", "--disable-dev-shm-usage", "--no-proxy-server",
             "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost"]

    def __init__(self, ground, ca):
        self.ground, self.home = ground, ground.folder / f"home-{ca.parent.name}"
        database = self.home / ".pki" / "nssdb"
        database.mkdir(parents=True)
        # Where Chromium on Linux looks for CAs of the user.
        certutil = ["certutil", "-d", f"sql:{database}"]
        subprocess.run([*certutil, "-N", "--empty-password"], check=True)
        subprocess.run([*certutil, "-A", "-t", "C,,", "-n", "tests", "-i", ca], check=True)

    def open(self, url, *flags):
        command = ["chromium", *self.FLAGS, f"--user-data-dir={self.home}/profile", *flags, url]
        return self.ground.start("chromium", *command, HOME=str(self.home), XDG_CONFIG_HOME=str(self.home))


def by_nghttp(url):
    """nghttp says `status` of the page and of what it fetches for it."""
    said = subprocess.run(["nghttp", "--null-out", "--get-assets", "--stat", url], check=True, stdout=subprocess.PIPE, text=True).stdout
    statuses = re.findall(r"^ *\d+ +\S+ +\S+ +\S+ +(\d+) +\S+ +(\S+)$", said, re.MULTILINE)
    print(f"nghttp: {len(statuses)} answers, {sorted({status for status, _ in statuses})}")
    if len(statuses) != 2 + PARTS or {status for status, _ in statuses} != {"200"}:
        raise SystemExit(said)


def by_chromium(browser, site, url):
    process = browser.open(url, "--remote-debugging-port=0")
    try:
        told = site.told.get(timeout=PATIENCE)
    except queue.Empty:
        raise SystemExit("the page has told nothing\n" + "\n".join(process.lines[-40:])) from None
    process.end()
    print(f"chromium: {told}")
    for wanted in ('"protocols":["h2"]', f'"shown":{PARTS}', '"socket":"from the page"'):
        if wanted not in told:
            raise SystemExit(f"chromium did not tell {wanted}")


def tunnel(gateway):
    """How the browser asked for the WebSocket."""
    lines = (gateway.home / "access.log").read_text().splitlines()
    return next(line for line in lines if "/echo" in line)


def by_demo(ground):
    """The demo as a person would look at it."""
    demo = ground.start("demo", Path(os.environ["PORTCULLIS"]).resolve(), "demo")
    url, config = demo.wait_for(r"^ *HTTPS *(\S+)")[1], demo.wait_for(r"^ *config *(\S+)")[1]
    demo.wait_for("^Ctrl-C")
    browser = Browser(ground, Path(config).parent / "ca.crt")
    shown = browser.open(f"{url}/", "--dump-dom").wait_for(r"backend +(alpha|beta|gamma) ")
    print(f"chromium shows the demo: {shown[0].strip()}")


if __name__ == "__main__":
    main()
