"""nginx with TLS before a gate, as docs/exchange.md sets it up."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers import needs
from tests.servers.sogo import free_ports, process

CONFIGURATION = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
events {{ worker_connections 512; }}
http {{
  access_log off; client_max_body_size 50m;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {folder}/front.pem; ssl_certificate_key {folder}/front.key;
    proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $http_host;
    proxy_buffering off; proxy_request_buffering off; proxy_read_timeout 3700s;
    proxy_set_header x-webobjects-server-protocol HTTP/1.0;
    proxy_set_header x-webobjects-remote-host 127.0.0.1;
    proxy_set_header x-webobjects-server-url https://$http_host;
    if ($request_uri ~* "^[^?]*(\\\\\\\\|%5c)") {{ return 400; }}
    {locations}
  }}
}}
"""
PATHS = "~* ^/(SOGo/)?Microsoft-Server-ActiveSync"
INLINE = "location {paths} {{ proxy_pass http://127.0.0.1:{gate}; }}"
ASKING = """
    location {paths} {{
      auth_request /decide;
      error_page 403 = @refused;
      proxy_pass {server}$is_args$args;
    }}
    location = /decide {{
      internal; proxy_pass http://127.0.0.1:{gate};
      proxy_pass_request_body off; proxy_set_header Content-Length "";
      proxy_set_header X-Original-URI $request_uri;
      proxy_set_header X-Original-Method $request_method;
    }}
    location @refused {{
      rewrite ^ /answer break; proxy_pass http://127.0.0.1:{gate};
      proxy_pass_request_body off; proxy_set_header Content-Length "";
      proxy_set_header X-Original-URI $request_uri;
    }}
"""


@contextmanager
def running(
    folder: Path, certificate: tuple[str, str], gate: int, server: str = ""
) -> Iterator[str]:
    """Yield the address of a front that hands everything to *gate*, or only asks it."""
    program = needs.program("nginx", "nginx-light", "/usr/sbin")
    for name, text in zip(("front.pem", "front.key"), certificate, strict=True):
        (folder / name).write_text(text)
    (port,) = free_ports(1)
    locations = (ASKING if server else INLINE).format(paths=PATHS, gate=gate, server=server)
    configuration = folder / "nginx.conf"
    configuration.write_text(CONFIGURATION.format(folder=folder, port=port, locations=locations))
    words = [program, "-c", str(configuration), "-p", str(folder)]
    with process(words, port, folder / "nginx.out"):
        yield f"localhost:{port}"
