#!/usr/bin/env bash
# What surprises: a sender is given one URL, and what its HTTP library asks for is another one. RFC 3986 calls the
# forms equivalent or not, the libraries choose: requests and aiohttp write "%7E" as "~", undici (which is fetch of
# Node.js) and httpx leave it; requests, urllib3 and aiohttp write "%2f" as "%2F", the others do not; undici writes
# "'" in a query as "%27"; a "?" at the end is dropped by three of five; and aiohttp decodes "%2F" in a query to "/",
# so that of one token there are three spellings. None is an error, none is logged, and the library that signs knows
# nothing of it.
#
# What a receiver should do: where a signature covers the URL (Square, Twilio, HubSpot, Trello, Mandrill,
# "@target-uri" of RFC 9421), the sender may have signed the URL as it was registered and asked for another. So try
# the registered URL as well as the target that came; compare a token of the path or query after decoding, never as
# raw bytes. Better, register a URL that all of them leave alone: letters, digits, "-", ".", "_", "~" and "/" in the
# path, "&" and "=" in the query.
#
# Measured with requests 2.34.2, urllib3 2.8.0, httpx 0.28.1, aiohttp 3.14.5 (yarl 1.25.1) on CPython 3.11 and undici
# 7.30.2 on Node.js 20. Fails if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check requests==2.34.2 urllib3==2.8.0 httpx==0.28.1 \
    aiohttp==3.14.5 yarl==1.25.1
npm install --silent --no-audit --no-fund --prefix "$work" undici@7.30.2
cat > "$work/post.mjs" <<'JAVASCRIPT'
import { request } from "undici";
for (const url of process.argv.slice(2)) await (await request(url, { method: "POST" })).body.dump();
JAVASCRIPT
cat > "$work/probe.py" <<'PYTHON'
import asyncio
import json
import subprocess
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path
from threading import Thread

import aiohttp
import httpx
import requests
import urllib3

PLAIN = "/hooks/k3-._~/x?token=k3-._~&n=1"
ALIKE = {name: None for name in ("requests", "urllib3", "httpx", "aiohttp", "undici")}  # None: as it was registered
EXPECTED = {
    PLAIN: ALIKE,
    "/hooks/%7Eme": ALIKE | {"requests": "/hooks/~me", "aiohttp": "/hooks/~me"},
    "/hooks/a%2fb": ALIKE | dict.fromkeys(("requests", "urllib3", "aiohttp"), "/hooks/a%2Fb"),
    "/hooks?name=it's": ALIKE | {"undici": "/hooks?name=it%27s"},
    "/hooks?": ALIKE | dict.fromkeys(("requests", "aiohttp", "undici"), "/hooks"),
    "/hooks?token=a%2Bb%2fc%3D": ALIKE
    | dict.fromkeys(("requests", "urllib3"), "/hooks?token=a%2Bb%2Fc%3D")
    | {"aiohttp": "/hooks?token=a%2Bb/c%3D"},
}
targets: list[str] = []


class Server(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        targets.append(self.requestline.split(" ")[1])  # self.path is not what came: it may be changed
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


async def with_aiohttp(urls: list[str]) -> None:
    async with aiohttp.ClientSession() as session:
        for url in urls:
            async with session.post(url):
                pass


CLIENTS = {
    "requests": lambda urls: [requests.post(url, timeout=10) for url in urls],
    "urllib3": lambda urls: [urllib3.request("POST", url, timeout=10) for url in urls],
    "httpx": lambda urls: [httpx.post(url) for url in urls],
    "aiohttp": lambda urls: asyncio.run(with_aiohttp(urls)),
    "undici": lambda urls: subprocess.run(["node", "post.mjs", *urls], check=True, timeout=60),
}
server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
Thread(target=server.serve_forever, daemon=True).start()
node = json.loads(Path("node_modules/undici/package.json").read_text())["version"]
print(", ".join(f"{name} {version(name)}" for name in (*list(CLIENTS)[:4], "yarl")), "undici", node)
seen: dict[str, dict[str, str | None]] = {registered: {} for registered in EXPECTED}
for name, post in CLIENTS.items():
    targets.clear()
    post([f"http://127.0.0.1:{server.server_port}{registered}" for registered in EXPECTED])
    for registered, target in zip(EXPECTED, targets, strict=True):
        seen[registered][name] = None if target == registered else target
for registered, by_client in seen.items():
    print("registered", registered)
    for name, target in by_client.items():
        print(f"    {name:8} asks for {target or 'just that'}")
assert seen == EXPECTED, "the behaviour has changed"
PYTHON
cd "$work"
timeout 120 "$work/venv/bin/python" "$work/probe.py"
