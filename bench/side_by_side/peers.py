"""The gateways that are compared, and the backend behind them. To add one: a class here and its line in CHOICE."""

import re
import ssl
import socket
import urllib.request
from pathlib import Path

from . import ground

BODY = "a hundred bytes, so that an answer is head and body in one packet as most small answers are ... " + "x" * 4


class Peer:
    """A gateway under measurement: `plain` and `tls` are its ports, `configure` returns its command."""

    name = ""
    # Whether it runs in the process that is started, so that it can be started under valgrind.
    one_process = False

    def __init__(self, place, backend, binary):
        self.place, self.backend, self.binary = place, backend, binary
        self.plain, self.tls = ground.free_port(), ground.free_port()
        self.process = None

    def start(self, prefix=()):
        self.process = self.place.start([*prefix, *self.configure()], ground.PROXY_CORE, self.name)
        ground.await_port(self.tls, self.process)
        return self

    def stop(self):
        ground.end(self.process, within=20)

    def rest(self):
        """Called after each slice."""

    def configure(self):
        raise NotImplementedError

    def pids(self):
        """The process and its descendants."""
        found, fresh = [], [self.process.pid]
        while fresh:
            pid = fresh.pop()
            found.append(pid)
            for children in Path(f"/proc/{pid}/task").glob("*/children"):
                fresh.extend(map(int, children.read_text().split()))
        return found

    def cpu(self):
        """Nanoseconds on a CPU so far, over all threads."""
        files = (path for pid in self.pids() for path in Path(f"/proc/{pid}/task").glob("*/schedstat"))
        return sum(int(path.read_text().split()[0]) for path in files)

    def rss(self):
        """Resident bytes."""
        statuses = (Path(f"/proc/{pid}/status").read_text() for pid in self.pids())
        return sum(int(re.search(r"VmRSS:\s+(\d+)", status)[1]) << 10 for status in statuses)

    def negotiates(self, protocol):
        client = trusting(protocol)
        with socket.create_connection(("127.0.0.1", self.tls), 10) as plain:
            with client.wrap_socket(plain, server_hostname="localhost") as secured:
                return secured.selected_alpn_protocol() == protocol


class Portcullis(Peer):
    """As it comes: access log to a file, metrics on; one worker."""

    name = "portcullis"
    one_process = True

    def configure(self):
        # The log lies elsewhere than config and certificates: their folders are watched.
        self.log.parent.mkdir(exist_ok=True)
        config = self.place.folder / f"{self.name}.d" / "portcullis.toml"
        config.parent.mkdir(exist_ok=True)
        backends = ", ".join(f'"http://127.0.0.1:{port}"' for port in self.backend.ports)
        config.write_text(f"""
[server]
workers = 1
drain = "1s"
[admin]
listen = "127.0.0.1:{ground.free_port()}"
[log.access]
path = "{self.log}"
[[listener]]
name = "plain"
bind = "127.0.0.1:{self.plain}"
max_connections_per_ip = 100000
[[listener]]
name = "tls"
bind = "127.0.0.1:{self.tls}"
max_connections_per_ip = 100000
timeouts = {{ keep_alive = "10m" }}
[listener.tls]
min_version = "1.3"
cipher_suites = ["TLS13_AES_128_GCM_SHA256"]
[[certificate]]
cert = "{self.place.certificate}"
key = "{self.place.key}"
[[route]]
name = "all"
pool = [{backends}]
""")
        return [self.binary.resolve(), "run", "-c", config]

    @property
    def log(self):
        return self.place.folder / "logs" / "access.log"

    def rest(self):
        # The log would fill the disk in a long session; it is opened for appending.
        with open(self.log, "ab") as log:
            log.truncate(0)


class Nginx(Peer):
    """Debian's nginx with one worker, keep-alive upstreams and its access log off."""

    name = "nginx"

    def configure(self):
        servers = " ".join(f"server 127.0.0.1:{port};" for port in self.backend.ports)
        return nginx(self.place, self.name, f"""
  client_max_body_size 0; proxy_request_buffering off; proxy_max_temp_file_size 0;
  upstream be {{ {servers} keepalive 256; keepalive_requests 1000000000; keepalive_timeout 600s; }}
  ssl_protocols TLSv1.3; ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256; ssl_prefer_server_ciphers on;
  ssl_session_cache shared:S:10m; ssl_session_tickets on;
  ssl_certificate {self.place.certificate}; ssl_certificate_key {self.place.key};
  proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;
  proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
  http2_max_concurrent_streams 256;
  server {{ listen 127.0.0.1:{self.plain} backlog=4096 reuseport; location / {{ proxy_pass http://be; }} }}
  server {{ listen 127.0.0.1:{self.tls} ssl http2 backlog=4096 reuseport; location / {{ proxy_pass http://be; }} }}
""")


class Backend(Peer):
    """Three ports that answer at once, and a count of what they were asked."""

    name = "backend"

    def __init__(self, place):
        super().__init__(place, None, None)
        self.ports = [ground.free_port() for _ in range(3)]
        self.tls = self.ports[0]
        self.asked = ground.free_port()

    def start(self, prefix=()):
        self.process = self.place.start([*prefix, *self.configure()], ground.OTHER_CORE, self.name)
        ground.await_port(self.asked, self.process)
        return self

    def configure(self):
        servers = "\n".join(f"  server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ return 200 '{BODY}'; }} }}"
                            for port in self.ports)
        return nginx(self.place, self.name, f"""
{servers}
  server {{ listen 127.0.0.1:{self.asked}; location / {{ stub_status; }} }}
""")

    def requests(self):
        """How many requests were answered so far; the asking itself is taken out."""
        self.looks = getattr(self, "looks", 0) + 1
        text = urllib.request.urlopen(f"http://127.0.0.1:{self.asked}/", timeout=10).read().decode()
        return int(text.splitlines()[2].split()[2]) - self.looks


CHOICE = [Portcullis, Nginx]


def nginx(place, name, http):
    """The command of an nginx with one worker and this in its `http` block."""
    folder = place.folder / f"{name}.d"
    folder.mkdir(exist_ok=True)
    paths = " ".join(f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    user = "user root;" if ground.os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(f"""
daemon off; master_process on; worker_processes 1; pid {folder}/pid; error_log {folder}/error warn; worker_rlimit_nofile 20000; {user}
events {{ worker_connections 16384; use epoll; multi_accept on; }}
http {{
  access_log off; sendfile on; tcp_nodelay on; tcp_nopush off; server_tokens off;
  keepalive_requests 1000000000; keepalive_timeout 600s; {paths}
{http}
}}
""")
    return ["nginx", "-e", f"{folder}/error", "-c", folder / "nginx.conf"]


def trusting(protocol=None):
    """A client that trusts any certificate."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    if protocol:
        client.set_alpn_protocols([protocol])
    return client
