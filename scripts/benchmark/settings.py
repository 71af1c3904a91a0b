# SPDX-License-Identifier: Apache-2.0 OR MIT
"""The command line and the configuration of each server."""

import json
import os
import subprocess

SECRET = "a-password-for-measuring"

NGINX = """daemon off; user root; worker_processes auto; pid {home}/pid; error_log {home}/log crit;
worker_rlimit_nofile {descriptors};
events {{ worker_connections {places}; }}
http {{
  access_log {log}; sendfile on; tcp_nopush on; default_type application/octet-stream;
  keepalive_requests 1000000000; keepalive_timeout 600s;
  client_body_temp_path {home}/body; proxy_temp_path {home}/a; fastcgi_temp_path {home}/b;
  uwsgi_temp_path {home}/c; scgi_temp_path {home}/d; client_max_body_size 0;
  server {{
    listen 127.0.0.1:{port} backlog=4096 {tls}; root {root};
    {certificate}
    location / {{ dav_methods PUT DELETE; }}
  }}
}}
"""
NGINX_TLS = "ssl_certificate {cert}; ssl_certificate_key {key}; ssl_protocols TLSv1.2 TLSv1.3;"

LIGHTTPD = """server.modules = ( "mod_webdav", "mod_openssl"{log} )
server.bind = "127.0.0.1"
server.port = {port}
server.document-root = "{root}"
server.upload-dirs = ( "{home}" )
server.max-keep-alive-requests = 65535
server.max-keep-alive-idle = 600
server.errorlog = "{home}/log"
accesslog.filename = "{home}/access"
server.max-connections = {places}
server.max-fds = {descriptors}
webdav.activate = "enable"
{certificate}
"""
LIGHTTPD_TLS = 'ssl.engine = "enable"\nssl.pemfile = "{cert}"\nssl.privkey = "{key}"'

# What keeps a skep from refusing its load, as far as the binary knows the setting.
LIMITS = {
    "max-connections": "{places}",
    "max-connections-per-address": "{places}",
    "max-idle-connections": "{places}",
    "max-idle-connections-per-address": "{places}",
    "max-requests-per-connection": "1000000000",
    "idle-timeout": "10m",
    "max-json-bytes": "64MiB",
}


def known_settings(binary, home):
    environment = dict(os.environ, SKEP_HOME=home)
    said = subprocess.run([binary, "config", "--json"], env=environment, check=True, capture_output=True)
    return {setting["key"] for setting in json.loads(said.stdout)["settings"]}


def skep(server):
    site = server.site
    command = [site.options.binary, "serve", "127.0.0.1", "--port", str(server.port), "-q", "--dir", server.root]
    for name, value in LIMITS.items():
        if name in site.skep_settings:
            command += [f"--{name}", value.format(places=server.places)]
    if server.is_cache_off:
        command += ["--cache-bytes", "0", "--cache-entries", "0"]
    if site.options.logs:
        command += ["--log-level", "info", "--log-file", os.path.join(server.home, "access")]
    else:
        command += ["--log-level", "error"]
    return command + (["--cert", site.cert, "--key", site.key] if server.is_tls else ["--plain"])


def dufs(server):
    command = ["dufs", "-A", "-b", "127.0.0.1", "-p", str(server.port)]
    if not server.site.options.logs:
        command += ["--log-format", ""]
    if server.is_tls:
        command += ["--tls-cert", server.site.cert, "--tls-key", server.site.key]
    return [*command, server.root]


def nginx(server):
    log = os.path.join(server.home, "access") if server.site.options.logs else "off"
    path = write(server, NGINX, NGINX_TLS, log=log, tls="ssl" if server.is_tls else "")
    return ["nginx", "-p", server.home, "-c", path]


def lighttpd(server):
    log = ', "mod_accesslog"' if server.site.options.logs else ""
    return ["lighttpd", "-D", "-f", write(server, LIGHTTPD, LIGHTTPD_TLS, log=log)]


def write(server, text, certificate, **more):
    fields = {"home": server.home, "root": server.root, "port": server.port, "places": server.places}
    fields |= {"cert": server.site.cert, "key": server.site.key, "descriptors": 2 * server.places + 64, **more}
    fields["certificate"] = certificate.format(**fields) if server.is_tls else ""
    path = os.path.join(server.home, "configuration")
    with open(path, "w", encoding="ascii") as configuration:
        configuration.write(text.format(**fields))
    return path


COMMANDS = {"skep": skep, "nginx": nginx, "lighttpd": lighttpd, "dufs": dufs}
