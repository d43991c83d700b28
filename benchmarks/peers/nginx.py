"""nginx, from Debian."""

import os

from benchmarks.fetch import from_debian, output_of
from benchmarks.peers.base import TWO_WORKERS, USUAL, WITH_LOG, Peer, Place
from benchmarks.processes import Command
from benchmarks.traffic import STAMP

_CONFIGURATION = """\
daemon off;
{user}
worker_processes {workers};
worker_rlimit_nofile {files};
pid nginx.pid;
error_log stderr error;
events {{ worker_connections 16384; }}
http {{
    access_log {log};
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    keepalive_requests 1000000000;
    upstream openrouter {{
        server 127.0.0.1:{upstream_port};
        keepalive 256;
        keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        client_max_body_size 0;
        location / {{
            proxy_pass {scheme}://openrouter;
            proxy_http_version 1.1;
            {tls}
            proxy_buffering off;
            proxy_request_buffering off;
            proxy_read_timeout 600s;
            proxy_set_header Host localhost;
            proxy_set_header Connection "";
            {stamp}
        }}
    }}
}}
"""


_TLS = """\
proxy_ssl_server_name on;
            proxy_ssl_name localhost;
            proxy_ssl_verify on;
            proxy_ssl_trusted_certificate {authority};"""


class Nginx(Peer):
    """With its master process, as it usually runs."""

    name = "nginx"
    measured_by = USUAL | {"workers"}

    def fetch(self) -> str:
        self._program, self._environment = from_debian("nginx", "nginx")
        return output_of([str(self._program), "-v"], self._environment).rpartition("/")[2]

    def command(self, place: Place) -> Command:
        configuration = place.folder / "nginx.conf"
        configuration.write_text(
            _CONFIGURATION.format(
                user="user root;" if os.geteuid() == 0 else "",
                files=32768,
                workers=self.workers,
                log="/dev/stdout" if self.logs else "off",
                port=place.port,
                upstream_port=place.upstream_port,
                scheme=place.upstream_url.partition(":")[0],
                tls=_TLS.format(authority=place.authority) if place.authority else "",
                stamp="\n            ".join(f'proxy_set_header {name} "{value}";' for name, value in STAMP),
            )
        )
        return Command([str(self._program), "-p", str(place.folder), "-c", str(configuration)], self._environment)


class NginxWithLog(Nginx):
    """With a line in the combined format for each request."""

    name = Nginx.name + WITH_LOG
    measured_by = frozenset({"cpu"})
    logs = True


class NginxTwice(Nginx):
    """With two worker processes under the master."""

    name = Nginx.name + TWO_WORKERS
    measured_by = frozenset({"workers"})
    workers = 2
