#!/usr/bin/env bash
# What surprises: download of UP42's client opens the file of the image for writing before it asks the server for
# anything. When the link has expired (403), the server is busy (503), or nobody listens, it raises, and the image
# that an earlier call has downloaded well is now an empty file of the same name. So a handler that has done its work
# and is run once more, as each at-least-once delivery may be, destroys what it has: the links are signed and
# short-lived, and a repeat comes with an old one. download_archive of the same package does not, it has a temporary
# file.
#
# What a receiver should do: download into a new folder for each attempt, and rename what is complete; never into the
# place of the last result. And take a file that exists for no sign of success: after a failure there is one, too.
#
# Measured with up42-py 4.3.0 (requests 2.34.2) on CPython 3.11, against a server on the loopback that stands for the
# storage to which the signed links lead. Fails if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check up42-py==4.3.0 requests==2.34.2
cat > "$work/probe.py" <<'PYTHON'
import io
import tempfile
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path
from threading import Thread

import requests
from up42 import utils

IMAGE = bytes(range(256)) * 400
with zipfile.ZipFile(file := io.BytesIO(), "w") as archive:
    archive.writestr("output/scene.tif", IMAGE)
ARCHIVE = file.getvalue()
QUERY = "?response-content-disposition=attachment;filename%3Dscene&X-Signature=x"


class Storage(BaseHTTPRequestHandler):
    """Signed links as they are while they are good, after they have expired, and while the storage is busy."""

    def do_GET(self) -> None:
        state, _, name = self.path.partition("?")[0].strip("/").partition("/")
        body = {"scene.tif": IMAGE, "scene.zip": ARCHIVE}[name] if state == "good" else b""
        self.send_response({"good": 200, "expired": 403, "busy": 503}[state])
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Storage)
Thread(target=server.serve_forever, daemon=True).start()
with ThreadingHTTPServer(("127.0.0.1", 0), Storage) as gone:
    nobody = f"http://127.0.0.1:{gone.server_port}"  # where nobody listens any more
storage = f"http://127.0.0.1:{server.server_port}"
LATER = {"expired": f"{storage}/expired", "busy": f"{storage}/busy", "nobody": f"{nobody}/good"}
print("up42-py", version("up42-py"), "requests", version("requests"))


def after(link: str, folder: str) -> tuple[int, str, int]:
    """The size of the image after a good download, what a second one by that link raises, and the size after it."""
    image = utils.ImageFile(f"{storage}/good/scene.tif{QUERY}").download(folder)
    before = image.stat().st_size
    assert image.read_bytes() == IMAGE
    try:
        utils.ImageFile(f"{link}/scene.tif{QUERY}").download(folder)
        raise SystemExit("the second download did not fail")
    except requests.RequestException as error:
        return before, type(error).__name__, image.stat().st_size


seen = {}
for name, link in LATER.items():
    with tempfile.TemporaryDirectory() as folder:
        before, error, left = seen[name] = after(link, folder)
    print(f"{name:8} the second download raises {error}, and of {before} bytes of the first {left} are left")
with tempfile.TemporaryDirectory() as folder:
    (path,) = utils.download_archive(f"{storage}/good/scene.zip", folder)
    try:
        utils.download_archive(f"{storage}/expired/scene.zip", folder)
        raise SystemExit("the second download did not fail")
    except requests.HTTPError:
        print("archive  the second download raises HTTPError, and", Path(path).stat().st_size, "bytes are left")
        assert Path(path).read_bytes() == IMAGE
assert seen == {
    "expired": (len(IMAGE), "HTTPError", 0),
    "busy": (len(IMAGE), "HTTPError", 0),
    "nobody": (len(IMAGE), "ConnectionError", 0),
}, "the behaviour has changed"
PYTHON
cd "$work"
UP42_DISABLE_VERSION_CHECK=true timeout 120 "$work/venv/bin/python" -W ignore "$work/probe.py" 2> "$work/log" \
    || { cat "$work/log"; exit 1; }
