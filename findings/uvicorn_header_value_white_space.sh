#!/usr/bin/env bash
# What surprises: one app under one server sees two values of one header. RFC 9110, section 5.5, says that white space
# before and after a field value is no part of it, and that a parser takes it off. Under uvicorn the parser h11 does
# that. The parser httptools, which uvicorn takes by default where it is installed ("uvicorn[standard]"), takes off what
# is before the value and leaves what is behind it: the app gets "a " where "a" was meant.
#
# What a receiver should do: strip spaces and tabs at the end of a header value before a signature over header values
# is compared, and before a value is compared with another at all. A delivery that verifies behind one server is
# otherwise rejected behind another, although every byte on the wire was the same.
#
# Measured with uvicorn 0.34.3, h11 0.16.0 and httptools 0.6.4 on CPython 3.11. Fails if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check uvicorn==0.34.3 h11==0.16.0 httptools==0.6.4
cat > "$work/probe.py" <<'PYTHON'
import asyncio
import socket
from importlib.metadata import version

import uvicorn

seen: list[bytes] = []


async def app(scope, receive, send):
    seen.append(dict(scope["headers"])[b"x-value"])
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})


async def value_under(parser: str) -> bytes:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, http=parser, lifespan="off", log_level="error"))
        task = asyncio.create_task(server.serve([listener]))
        while not server.started:
            await asyncio.sleep(0.01)
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        writer.write(b"GET / HTTP/1.1\r\nhost: localhost\r\nx-value:  a \t\r\nconnection: close\r\n\r\n")
        await asyncio.wait_for(reader.read(), 10)
        writer.close()
        server.should_exit = True
        await asyncio.wait_for(task, 10)
    return seen[-1]


print("uvicorn", version("uvicorn"), "h11", version("h11"), "httptools", version("httptools"))
values = {parser: asyncio.run(value_under(parser)) for parser in ("h11", "httptools")}
for parser, value in values.items():
    print("sent", b"x-value:  a \t", "- the app under", parser, "got", value)
assert values == {"h11": b"a", "httptools": b"a \t"}, "the behaviour has changed"
PYTHON
timeout 120 "$work/venv/bin/python" "$work/probe.py"
