#!/usr/bin/env bash
# What surprises: actinia processes satellite images on GRASS, and calls a "finished" webhook at the end of a job. With
# its built-in settings it calls up to 6 times, 10 s apart. With the section WEBHOOK in its configuration file, which
# has the same two numbers and which its own function for writing that file puts there, it calls nobody: it takes the
# numbers for texts, fails to compare them, writes a line to its log, and the job counts as finished. Where it calls,
# the body of the type application/json is a JSON text that holds the JSON document; a 503 is followed by five more
# calls within milliseconds, so that a receiver that starts anew misses all six, while one that is away is given a
# minute; a 202 is not repeated but logged as "Unable to access"; and before a job starts, the URL is asked by HEAD, for
# which nothing but 200 will do, not even 204: with any other answer the job is refused.
#
# What a receiver should do: answer HEAD on the route by 200, decode the body twice, answer 200 or 204 once the event is
# kept, count on no repeats after an error, and ask for the status of each job that has not reported in time.
#
# Measured with actinia-core 7.1.2 and actinia-processing-lib 1.2.0 on CPython 3.11, by the two functions of its worker
# that read a process chain and store a result, against a receiver on the loopback. Fails if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
# What these two modules import; all that they depend on would be GRASS's companions, too.
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps \
    actinia-core==7.1.2 actinia-processing-lib==1.2.0 actinia-rest-lib==1.0.0 actinia-api==3.8.0 \
    Flask==3.1.3 Werkzeug==3.1.8 Jinja2==3.1.6 MarkupSafe==3.0.4 click==8.5.1 itsdangerous==2.2.0 blinker==1.9.0 \
    Flask-RESTful==0.3.10 flask-restful-swagger-2==0.35 Flask-HTTPAuth==4.8.1 flask-cors==6.0.5 aniso8601==10.0.1 \
    requests==2.34.2 certifi==2026.10.19.post1 idna==3.20 urllib3==2.8.0 charset-normalizer==3.5.3 pytz==2026.6 \
    passlib==1.7.4 PyJWT==2.15.1 valkey==6.2.0 colorlog==6.12.0 python-json-logger==4.2.0 fluent-logger==0.11.1 \
    psutil==7.2.2 python-magic==0.4.27 python-dateutil==2.9.0.post0 six==1.17.0 typing_extensions==4.16.0 \
    google-cloud-bigquery==3.47.0 google-cloud-core==2.8.0 google-cloud-storage==3.17.1 google-api-core==2.44.0 \
    google-auth==2.63.0 google-resumable-media==2.11.0 google-crc32c==1.9.0 googleapis-common-protos==1.76.0 \
    protobuf==7.36.2 proto-plus==1.29.0 packaging==26.4 pyasn1==0.6.5 pyasn1_modules==0.4.2 rsa==4.9.1 \
    cryptography==50.0.2 cffi==2.1.1 pycparser==3.12 python-keycloak==7.1.1 jwcrypto==1.6.1 aiofiles==25.1.0 \
    httpx==0.28.1 httpcore==1.0.9 h11==0.16.0 anyio==4.16.0 requests-toolbelt==1.0.0 deprecation==2.1.0 \
    boto3==1.44.8 botocore==1.44.8 jmespath==1.1.0 s3transfer==0.19.3
cat > "$work/probe.py" <<'PYTHON'
import json
import logging
import os
import pickle
import threading
import time
from contextlib import redirect_stdout
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from io import StringIO
from pathlib import Path

os.environ["DEFAULT_CONFIG_PATH"] = str(Path("actinia.cfg").absolute())
from actinia_core.core.common.config import Configuration  # noqa: E402
from actinia_core.core.common.process_chain import ProcessChainConverter  # noqa: E402
from actinia_core.core.resource_data_container import ResourceDataContainer  # noqa: E402
from actinia_processing_lib.ephemeral_processing import EphemeralProcessing  # noqa: E402

received: list[tuple[float, str, bytes]] = []


class Receiver(BaseHTTPRequestHandler):
    """It answers with the code in the URL; with "closes" it closes the connection."""

    def do_HEAD(self) -> None:
        self.answer()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        received.append((time.monotonic(), self.headers["Content-Type"], body))
        self.answer()

    def answer(self) -> None:
        if self.path != "/closes":
            self.send_response(int(self.path[1:]))
            self.send_header("Content-Length", "0")
            self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


class NoStore:
    """Stands for the database to which results go first."""

    def commit(self, **_: object) -> None:
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
threading.Thread(target=server.serve_forever, daemon=True).start()
address = f"http://127.0.0.1:{server.server_port}"
logging.disable()


def accepts(code: int) -> bool:
    """Return whether a process chain is accepted whose webhook answers HEAD so."""
    chain = {"version": 1, "list": [{"id": "1", "exe": "/bin/true"}], "webhooks": {"finished": f"{address}/{code}"}}
    try:
        return bool(ProcessChainConverter().process_chain_to_process_list(chain))
    except Exception as error:
        assert "can not be accessed" in str(error), error
        return False


def calls(answer: int | str, config: Configuration) -> tuple[int, float]:
    """Finish a job; return the number of calls, and the seconds from the first to the last one."""
    received.clear()
    texts = (
        "grass_data_base grass_user_data_base grass_base_dir user_id user_group resource_id status_url "
        "resource_url_base orig_datetime project_name mapset_name map_name"
    )
    data = ResourceDataContainer(
        **dict.fromkeys(texts.split(), "-"),
        request_data={}, iteration=None, api_info={"endpoint": "-"}, orig_time=0.0, user_credentials={}, config=config,
    )  # fmt: skip
    processing = EphemeralProcessing(data)
    processing.config = config
    processing.resource_logger = NoStore()
    processing.message_logger = logging.getLogger("actinia")
    processing.webhook_finished = f"{address}/{answer}"
    with redirect_stdout(StringIO()):  # it prints the errors that it has
        processing._send_to_database(pickle.dumps((200, {"status": "finished"})), final=True)
    return len(received), received[-1][0] - received[0][0] if received else 0.0


print(*(f"{name} {version(name)}" for name in ("actinia-core", "actinia-processing-lib")))
accepted = {code: accepts(code) for code in (200, 204, 202, 405)}
print("the webhook answers HEAD by:", ", ".join(f"{code} {accepted[code]}" for code in accepted))
assert accepted == {200: True, 204: False, 202: False, 405: False}

built_in = Configuration()
assert (built_in.WEBHOOK_RETRIES, built_in.WEBHOOK_SLEEP) == (6, 10)
built_in.WEBHOOK_SLEEP = 0.3  # for this measure
seen = {}
for answer in (200, 202, 400, 503, "closes"):
    count, seconds = calls(answer, built_in)
    print(f"built-in settings, the webhook answers {answer}: calls: {count}, in {seconds:.2f} s")
    seen[answer] = count
    assert answer != 503 or seconds < 1
    assert answer != "closes" or seconds > 5 * 0.3
    if answer == 200:
        _, content_type, body = received[0]
        print("    ", content_type, body.decode())
        assert content_type == "application/json" and json.loads(json.loads(body)) == {"status": "finished"}
assert seen == {200: 1, 202: 1, 400: 1, 503: 6, "closes": 6}, seen

Configuration().write("written.cfg")
of_file = Configuration()
of_file.read("written.cfg")
section = Path("written.cfg").read_text().partition("[WEBHOOK]")[2].split("[")[0].split("\n")
count, _ = calls(200, of_file)
print("settings of a file with", ", ".join(filter(None, section)), "- calls:", count)
assert count == 0
PYTHON
cd "$work"
timeout 120 "$work/venv/bin/python" "$work/probe.py"
