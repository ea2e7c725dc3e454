"""h2load with 100 streams on a connection, through the gateway to backends of each protocol: no request fails."""

import re
import subprocess

from ground import Ground, free_port, wait_for_port

REQUESTS = 100_000
CONNECTIONS, STREAMS = 4, 100
FILE = b"a line of a file that is somewhat longer than a packet\n" * 40


def main():
    with Ground() as ground:
        (ground.folder / "files").mkdir()
        (ground.folder / "files" / "small").write_bytes(FILE)
        h1, h2c, h2 = nginx(ground), nghttpd(ground), nghttpd(ground, ground.key, ground.certificate)
        gateway = ground.gateway(f"""
[[route]]
path = "/h1/*"
rewrite = {{ strip_prefix = "/h1" }}
pool = ["http://127.0.0.1:{h1}"]
[[route]]
path = "/h2c/*"
rewrite = {{ strip_prefix = "/h2c" }}
pool = {{ protocol = "h2", backends = ["http://127.0.0.1:{h2c}"] }}
[[route]]
path = "/h2/*"
rewrite = {{ strip_prefix = "/h2" }}
pool = {{ protocol = "h2", backends = ["https://localhost:{h2}"], tls = {{ ca = "{ground.ca}" }} }}
""")
        load("straight to h2c", f"http://127.0.0.1:{h2c}/small")
        for leg in ("h1", "h2c", "h2"):
            load(f"by the gateway to {leg}", f"https://localhost:{gateway.port}/{leg}/small")


def nginx(ground):
    """The port of an nginx that serves the files in HTTP/1.1."""
    port, paths = free_port(), ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    (ground.folder / "nginx.conf").write_text(f"""
daemon off; master_process off; error_log stderr; pid {ground.folder}/nginx.pid;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 1000000; {" ".join(f"{path}_temp_path {ground.folder}/{path};" for path in paths)}
  server {{ listen 127.0.0.1:{port}; root {ground.folder}/files; }}
}}
""")
    process = ground.start("nginx", "nginx", "-e", "stderr", "-p", ground.folder, "-c", ground.folder / "nginx.conf")
    wait_for_port(port, process)
    return port


def nghttpd(ground, *pair):
    """The port of an nghttpd that serves the files in HTTP/2; over TLS where it gets a key and a certificate."""
    port, options = free_port(), () if pair else ("--no-tls",)
    process = ground.start("nghttpd", "nghttpd", "--address=127.0.0.1", "--workers=1", f"--htdocs={ground.folder}/files",
                           *options, port, *pair)
    wait_for_port(port, process)
    return port


def load(name, url):
    """One run; leaves with 1 where a request fails or its answer is short."""
    run = subprocess.run(["h2load", f"-n{REQUESTS}", f"-c{CONNECTIONS}", f"-m{STREAMS}", url], stdout=subprocess.PIPE, text=True)
    good = f"{REQUESTS} succeeded, 0 failed, 0 errored, 0 timeout"
    if run.returncode != 0 or good not in run.stdout or f"status codes: {REQUESTS} 2xx" not in run.stdout:
        raise SystemExit(f"{name}\n{run.stdout}")
    if f"({REQUESTS * len(FILE)}) data" not in run.stdout:
        raise SystemExit(f"{name}: not {len(FILE)} bytes each\n{run.stdout}")
    print(f"{name}: {REQUESTS} answers, none failed; {re.search('finished in .*', run.stdout)[0]}")


if __name__ == "__main__":
    main()
