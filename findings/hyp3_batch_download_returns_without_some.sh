#!/usr/bin/env bash
# What surprises: HyP3 of the Alaska Satellite Facility has no webhook, so that one asks until the jobs of a batch have
# ended, and downloads them. Batch.download_files of its client returns as for a success although products are missing:
# those of jobs that have failed, whose products have expired, and whose download is answered by an error, such as 403
# for a link that has ended. All that tells is a line printed to the standard output, and a list of paths that is
# shorter than the batch. Where a connection breaks in the middle, the same call raises, leaves what it had, or an empty
# file, under the product's final name, and does not try the jobs after it.
#
# What a receiver should do: download job by job with Job.download_files, which raises for each of these; into a new
# folder, to be renamed when all is there; and take failed and expired jobs out of the batch before, by
# Batch.filter_jobs, to report them.
#
# Measured with hyp3-sdk 7.7.8 (requests 2.34.2, urllib3 2.8.0) on CPython 3.11, against a server on the loopback that
# stands for the storage of the products. Fails if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check hyp3-sdk==7.7.8 requests==2.34.2 urllib3==2.8.0
cat > "$work/probe.py" <<'PYTHON'
import tempfile
from contextlib import redirect_stderr, redirect_stdout
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from io import StringIO
from pathlib import Path
from threading import Thread

from hyp3_sdk import Batch, Job

PRODUCT = bytes(range(256)) * 40


class Storage(BaseHTTPRequestHandler):
    """The products; the link of "ended" has ended, and the connection of "broken" breaks in the middle."""

    def do_GET(self) -> None:
        self.send_response(403 if self.path == "/ended.zip" else 200)
        self.send_header("Content-Length", str(len(PRODUCT)))
        self.end_headers()
        self.wfile.write(PRODUCT[: len(PRODUCT) // 2] if self.path == "/broken.zip" else PRODUCT)

    def log_message(self, *_: object) -> None:
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Storage)
Thread(target=server.serve_forever, daemon=True).start()
address = f"http://127.0.0.1:{server.server_port}"


def job(name: str, status: str = "SUCCEEDED", expires: str = "2999-01-01T00:00:00+00:00") -> Job:
    return Job.from_dict(
        {
            "job_id": name,
            "job_type": "RTC_GAMMA",
            "status_code": status,
            "user_id": "user",
            "name": name,
            "request_time": "2026-01-01T00:00:00+00:00",
            "expiration_time": expires,
            "files": [{"filename": f"{name}.zip", "size": len(PRODUCT), "url": f"{address}/{name}.zip"}],
        }
    )


def download(what: Job | Batch) -> tuple[str, list[str], dict[str, int], str]:
    """Return how the call ended, the names that it returned, the lengths of the files, and what it printed."""
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(StringIO()) as printed, redirect_stderr(StringIO()):
        try:
            returned, names = "returned", [path.name for path in what.download_files(folder)]
        except Exception as error:
            returned, names = f"raised {type(error).__name__}", []
        files = {path.name: path.stat().st_size for path in sorted(Path(folder).iterdir())}
    return returned, names, files, printed.getvalue()


print(*(f"{name} {version(name)}" for name in ("hyp3-sdk", "requests", "urllib3")))
bad = [job("failed", "FAILED"), job("expired", expires="2026-01-02T00:00:00+00:00"), job("ended")]
whole = {"fine.zip": len(PRODUCT)}
for each in bad:
    returned, names, files, printed = download(Batch([each, job("fine")]))
    print(f"a batch of {each.name} and fine: {returned} {names}, files: {files}")
    print("    printed:", printed.strip()[:100], "...")
    assert (returned, names, files) == ("returned", ["fine.zip"], whole) and printed.startswith("Warning: ")
    returned, *_ = download(each)
    print(f"    the job alone: {returned}")
    assert returned == "raised HyP3SDKError", returned
returned, names, files, printed = download(Batch([job("broken"), job("fine")]))
print(f"a batch of broken and fine: {returned}, files: {files} of {len(PRODUCT)} bytes")
assert returned == "raised ChunkedEncodingError" and [*files] == ["broken.zip"] and not printed
assert files["broken.zip"] < len(PRODUCT)
PYTHON
cd "$work"
timeout 120 "$work/venv/bin/python" "$work/probe.py"
