from __future__ import annotations

import ast
import inspect
from importlib import import_module, metadata, resources
from pathlib import Path

import pytest

import webhook_receiver
from webhook_receiver.errors import DISTRIBUTION


def test_all_names_are_sorted_and_there() -> None:
    assert webhook_receiver.__all__ == sorted(set(webhook_receiver.__all__))
    assert set(webhook_receiver.__all__) <= set(dir(webhook_receiver))
    for name in webhook_receiver.__all__:
        assert getattr(webhook_receiver, name).__name__ == name


def test_type_checkers_are_told_of_the_same_names() -> None:
    package = webhook_receiver
    stub = ast.parse(Path(str(package.__file__)).with_suffix(".pyi").read_text(encoding="utf-8"))
    told = {alias.name for each in stub.body if isinstance(each, ast.ImportFrom) for alias in each.names}
    assert told == set(package.__all__)
    for each in stub.body:
        if isinstance(each, ast.ImportFrom):
            module = import_module(f".{each.module}", package.__name__)
            for alias in each.names:
                assert getattr(package, alias.name) is getattr(module, alias.name)


def test_a_name_that_is_nowhere_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        getattr(webhook_receiver, "Nothing")  # noqa: B009


def test_importing_the_package_loads_no_store_no_api_and_no_command() -> None:
    import subprocess
    import sys

    heavy = {
        "webhook_receiver.inbox.sqlite",
        "httpx",
        "webhook_receiver.explain",
        "webhook_receiver.senders.up42.models",
        "typer",
        "rich",
        "opentelemetry",
    }
    code = f"import sys, webhook_receiver; print(sorted({heavy} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], check=True, timeout=60, capture_output=True, text=True)
    assert done.stdout == "[]\n"


def test_every_public_name_is_documented() -> None:
    assert [name for name in webhook_receiver.__all__ if not inspect.getdoc(getattr(webhook_receiver, name))] == []


def test_every_public_method_of_the_receiver_is_documented() -> None:
    for name, member in inspect.getmembers(webhook_receiver.WebhookReceiver):
        if not name.startswith("_"):
            assert inspect.getdoc(member), name


def test_it_is_typed_and_has_a_version() -> None:
    assert resources.files(webhook_receiver).joinpath("py.typed").is_file()
    assert webhook_receiver.__version__ == metadata.version(DISTRIBUTION)


def test_the_base_needs_three_libraries() -> None:
    required = [line for line in metadata.requires(DISTRIBUTION) or [] if "extra ==" not in line]
    assert sorted(line.split(">")[0] for line in required) == ["anyio", "pydantic", "starlette"]


def test_the_package_works_without_any_extra() -> None:
    import subprocess
    import sys

    blocked = [
        "cryptography",
        "http_message_signatures",
        "rfc8785",
        "jwt",
        "httpx",
        "uvicorn",
        "typer",
        "rich",
        "jinja2",
        "pydantic_settings",
        "opentelemetry",
        "prometheus_client",
    ]
    code = f"import sys; sys.modules.update(dict.fromkeys({blocked})); import webhook_receiver"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_dir_has_every_public_name() -> None:
    code = "import webhook_receiver; assert set(webhook_receiver.__all__) <= set(dir(webhook_receiver))"
    import subprocess
    import sys

    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
