#!/usr/bin/env bash
# What surprises: create_order of Planet's client sends the order again, up to five times, if the connection breaks, the
# answer does not come in time, or a gateway answers 502, which all happen after Planet has taken the order, too. Each
# one that was taken is an order of its own, which is billed, delivered, and reported to the webhook. The call returns
# the last one, and tells nothing of the others but by lines of the level INFO. There is no argument that prevents it,
# and the requests have no key, such as the header Idempotency-Key, by which the second could be known for a repeat.
#
# What a receiver should do: give each order a name of its own, and know orders by this name, not by the id that
# create_order returned: two with one name are one order, of which the second one is to be canceled while it is queued.
# And order through Session objects whose max_retries is 0, and after an error look for the name in the list of orders.
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
import json
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from threading import Thread

from planet import Auth, OrdersClient, Session

taken: list[dict[str, str]] = []


class Planet(BaseHTTPRequestHandler):
    """It takes each order; the answer to the first one gets lost, or a gateway answers in its place."""

    def do_POST(self) -> None:
        assert "Idempotency-Key" not in self.headers
        order = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        taken.append({"id": str(uuid.uuid4()), "name": order["name"], "state": "queued"})
        if len(taken) > 1:
            self.answer(202, taken[-1])
        elif order["name"] == "behind a gateway":
            self.answer(502, {"message": "Bad Gateway"})

    def answer(self, code: int, document: object) -> None:
        body = json.dumps(document).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


async def main(address: str) -> None:
    product = {"item_ids": ["20260101_100000_00_2474"], "item_type": "PSScene", "product_bundle": "analytic_udm2"}
    for name in ("lost answer", "behind a gateway"):
        for retries in (None, 0):
            taken.clear()
            async with Session(auth=Auth.from_key("not a key")) as session:
                if retries is not None:
                    session.max_retries = retries
                client = OrdersClient(session, base_url=address)
                try:
                    order = await client.create_order({"name": name, "products": [product]})
                    told = f"returned order {[each['id'] for each in taken].index(order['id']) + 1}"
                except Exception as error:
                    told = f"raised {type(error).__name__}"
            print(f"{name:17} max_retries={'5 (default)' if retries is None else retries!s:12}", end="")
            print(f"{told:30} orders at Planet: {len(taken)}")
            assert len(taken) == (2 if retries is None else 1), taken
            assert told == "returned order 2" if retries is None else told.startswith("raised"), told


server = ThreadingHTTPServer(("127.0.0.1", 0), Planet)
Thread(target=server.serve_forever, daemon=True).start()
print("planet", version("planet"), "httpx", version("httpx"))
asyncio.run(main(f"http://127.0.0.1:{server.server_port}"))
PYTHON
cd "$work"
timeout 120 "$work/venv/bin/python" "$work/probe.py"
