#!/usr/bin/env bash
# What surprises: download_order of Planet's client writes an image under its final name as the bytes come. When the
# connection breaks in the middle it raises, and leaves the half image there. The next call, say of the handler that
# is tried again, asks the server for the image once more, sees that the file exists, throws the answer away and
# returns the path as it does for a success; a line at level INFO is all that tells. It compares no length, although
# the answer says how long the image is, and neither try looks at the manifest. The half image is there for good.
#
# What a receiver should do: download with overwrite=True, or into a new folder for each attempt that is renamed when
# all is there, and let OrdersClient.validate_checksum say so against the order's manifest, before an order counts as
# done. A file that exists tells nothing.
#
# Measured with planet 3.7.0 (httpx 0.28.1) on CPython 3.11, against a server on the loopback that answers as the
# Orders API does. Fails if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check planet==3.7.0 httpx==0.28.1
cat > "$work/probe.py" <<'PYTHON'
import asyncio
import hashlib
import json
import tempfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path
from threading import Thread

import httpx
from planet import Auth, OrdersClient, Session
from planet.exceptions import ClientError

ORDER = "00000000-0000-4000-8000-000000000000"
IMAGE = bytes(range(256)) * 400
HALF = len(IMAGE) // 2
MANIFEST = {"files": [{"path": "scene.tif", "digests": {"sha256": hashlib.sha256(IMAGE).hexdigest()}}]}
asked: list[str] = []


class Planet(BaseHTTPRequestHandler):
    """The order, its image, whose first download breaks, and its manifest."""

    def do_GET(self) -> None:
        asked.append(self.path.rpartition("/")[2])
        if asked[-1] == "scene.tif":
            self.answer(IMAGE, HALF if asked.count("scene.tif") == 1 else len(IMAGE))
        elif asked[-1] == "manifest.json":
            self.answer(json.dumps(MANIFEST).encode())
        else:
            address = f"http://127.0.0.1:{self.server.server_port}"
            results = [{"name": name, "location": f"{address}/{name}"} for name in ("scene.tif", "manifest.json")]
            self.answer(json.dumps({"id": ORDER, "state": "success", "_links": {"results": results}}).encode())

    def answer(self, body: bytes, sent: int | None = None) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:sent])  # then the connection is closed, as HTTP/1.0 does

    def log_message(self, *_: object) -> None:
        pass


async def main(address: str, folder: Path) -> None:
    async with Session(auth=Auth.from_key("not a key")) as session:
        client = OrdersClient(session, base_url=address)
        try:
            await client.download_order(ORDER, directory=folder)
            raise SystemExit("the download did not break")
        except httpx.RemoteProtocolError as error:
            print("first call: ", type(error).__name__, "-", error)
        image = folder / "scene.tif"
        print("            ", image.stat().st_size, "of", len(IMAGE), "bytes are left as", image.name)
        assert image.stat().st_size == HALF
        for call in ("second call:", "third call: "):
            paths = await client.download_order(ORDER, directory=folder)
            print(call, "returned", [path.name for path in paths], "and", image.stat().st_size, "bytes")
            assert paths == [image, folder / "manifest.json"] and image.stat().st_size == HALF
        assert asked.count("scene.tif") == 3, asked
        try:
            client.validate_checksum(folder, "sha256")
            raise SystemExit("the check sees nothing")
        except ClientError:
            print("validate_checksum raises ClientError")
        await client.download_order(ORDER, directory=folder, overwrite=True)
        client.validate_checksum(folder, "sha256")
        print("with overwrite=True:", image.stat().st_size, "bytes, and the check passes")


server = ThreadingHTTPServer(("127.0.0.1", 0), Planet)
Thread(target=server.serve_forever, daemon=True).start()
print("planet", version("planet"), "httpx", version("httpx"))
with tempfile.TemporaryDirectory() as name:
    asyncio.run(main(f"http://127.0.0.1:{server.server_port}", Path(name)))
PYTHON
cd "$work"
timeout 120 "$work/venv/bin/python" "$work/probe.py"
