from __future__ import annotations

import inspect
from importlib import metadata, resources

import webhook_receiver


def test_all_names_what_is_public_and_nothing_else() -> None:
    visible = {
        name
        for name, value in vars(webhook_receiver).items()
        if not name.startswith("_") and not inspect.ismodule(value) and name != "annotations"
    }
    assert set(webhook_receiver.__all__) == visible
    assert webhook_receiver.__all__ == sorted(webhook_receiver.__all__)


def test_every_public_name_is_documented() -> None:
    assert [name for name in webhook_receiver.__all__ if not inspect.getdoc(getattr(webhook_receiver, name))] == []


def test_every_public_method_of_the_receiver_is_documented() -> None:
    for name, member in inspect.getmembers(webhook_receiver.WebhookReceiver):
        if not name.startswith("_"):
            assert inspect.getdoc(member), name


def test_it_is_typed_and_has_a_version() -> None:
    assert resources.files(webhook_receiver).joinpath("py.typed").is_file()
    assert metadata.version("webhook-receiver")


def test_the_base_needs_three_libraries() -> None:
    required = [line for line in metadata.requires("webhook-receiver") or [] if "extra ==" not in line]
    assert sorted(line.split(">")[0] for line in required) == ["anyio", "pydantic", "starlette"]


def test_the_package_works_without_any_extra() -> None:
    import subprocess
    import sys

    blocked = [
        "cryptography",
        "http_message_signatures",
        "httpx",
        "uvicorn",
        "typer",
        "rich",
        "jinja2",
        "pydantic_settings",
    ]
    code = f"import sys; sys.modules.update(dict.fromkeys({blocked})); import webhook_receiver"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
