"""A back-end of openEO by openeo-driver, with jobs in memory, on a free port: `python openeo_server.py`.

It prints its port. It runs in the environment of that package. `POST /test/USER/ID/STATUS` changes the status of a
job, as its processing would. Users sign in by the password "secret".
"""

from __future__ import annotations

import os
from importlib import import_module

config = import_module("openeo_driver.config").OpenEoBackendConfig(
    enable_basic_auth=True, valid_basic_auth=lambda user, password: password == "secret"
)
"""What openeo-driver reads of this file."""


def main() -> None:
    os.environ["OPENEO_BACKEND_CONFIG"] = __file__
    dummy = import_module("openeo_driver.dummy.dummy_backend")
    app = import_module("openeo_driver.views").build_app(dummy.DummyBackendImplementation())

    def change(user: str, job: str, status: str) -> str:
        dummy.DummyBatchJobs._update_status(job, user, status)
        return ""

    app.add_url_rule("/test/<user>/<job>/<status>", view_func=change, methods=["POST"])
    server = import_module("werkzeug.serving").make_server("127.0.0.1", 0, app)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
