from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.helpers import ROOT
from webhook_receiver import ConfigurationError, Secret, WebhookReceiver
from webhook_receiver.cli.commands import loaded
from webhook_receiver.cli.defaults import OPTIONS, defaults, is_given
from webhook_receiver.settings import Settings, alone, origins, shown, unknown_variables


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def pyproject(text: str) -> None:
    Path("pyproject.toml").write_text(f"[tool.webhook-receiver]\n{text}\n", encoding="utf-8")


def test_the_environment_counts_before_pyproject_and_that_before_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (Settings().port, Settings().host, Settings().secret) == (8000, "127.0.0.1", None)
    pyproject('port = 9000\nmax-connections = 50\nhost = "::1"')
    monkeypatch.setenv("WEBHOOK_RECEIVER_PORT", "9001")
    monkeypatch.setenv("WEBHOOK_RECEIVER_HOST", "")  # as a compose file has it that leaves it out
    settings = Settings()
    assert (settings.port, settings.max_connections, settings.host) == (9001, 50, "::1")
    assert Settings(port=1).port == 1
    told = {each.name: (each.value, each.origin) for each in origins()}
    assert told["port"] == ("9001", "WEBHOOK_RECEIVER_PORT")
    assert told["host"] == ("::1", "pyproject.toml")
    assert told["path"] == ("/webhooks", "default")


def test_a_secret_is_read_from_a_file_and_again_when_that_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "secret"
    file.write_text("KbsDE5kGZoDiPCFd\n", encoding="utf-8")
    monkeypatch.setenv("WEBHOOK_RECEIVER_SECRET_FILE", str(file))
    monkeypatch.setenv("WEBHOOK_SECRET", "not this one")
    settings = Settings()
    assert settings.secret == Secret("KbsDE5kGZoDiPCFd")
    assert settings.secret is not None
    assert settings.secret.file == file
    assert "KbsDE5k" not in repr(settings)
    told = {each.name: each for each in origins()}["secret"]
    assert (told.value, told.origin) == ("**********", f"WEBHOOK_RECEIVER_SECRET_FILE={file}")
    assert WebhookReceiver(secret=settings.secret).sender.scheme.secret_count == 1
    monkeypatch.setenv("WEBHOOK_RECEIVER_INBOX_FILE", str(file))
    assert Settings().inbox == "KbsDE5kGZoDiPCFd"


def test_the_older_names_count_where_the_newer_are_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBHOOK_SECRET", "the older one's")
    monkeypatch.setenv("WEBHOOK_INBOX", "sqlite:///older.db")
    assert (Settings().secret, Settings().inbox) == (Secret("the older one's"), "sqlite:///older.db")
    assert {each.name: each.origin for each in origins()}["inbox"] == "WEBHOOK_INBOX"
    monkeypatch.setenv("WEBHOOK_RECEIVER_SECRET", "the newer one's")
    assert Settings().secret == Secret("the newer one's")


@pytest.mark.parametrize(
    ("variables", "complaint"),
    [
        ({"PORT": "x"}, "WEBHOOK_RECEIVER_PORT: Input should be a valid integer"),
        ({"PORT": "70000"}, "WEBHOOK_RECEIVER_PORT: Input should be less than or equal to 65535"),
        ({"HTTP": "h3"}, "WEBHOOK_RECEIVER_HTTP: Input should be 'h11' or 'httptools'"),
        ({"SECRET": " "}, "WEBHOOK_RECEIVER_SECRET: a secret must not be empty or blank"),
        ({"secret": " "}, "WEBHOOK_RECEIVER_secret: a secret must not be empty or blank"),
        ({"SECRET_FILE": "nowhere"}, "WEBHOOK_RECEIVER_SECRET_FILE: cannot read a secret from nowhere: No such file"),
        ({"SECRET_FILE": "blank"}, "WEBHOOK_RECEIVER_SECRET_FILE: in the file blank: a secret must not be empty"),
        ({"SECRET": "x", "SECRET_FILE": "blank"}, "WEBHOOK_RECEIVER_SECRET and WEBHOOK_RECEIVER_SECRET_FILE are both"),
    ],
)
def test_what_cannot_be_is_told_with_the_variable(
    variables: dict[str, str], complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("blank").write_text("\n", encoding="utf-8")
    for name, value in variables.items():
        monkeypatch.setenv(f"WEBHOOK_RECEIVER_{name}", value)
    with pytest.raises(ConfigurationError, match=re.escape(complaint)):
        Settings()


def test_what_cannot_be_is_told_with_the_older_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBHOOK_SECRET", " ")
    with pytest.raises(ConfigurationError, match="WEBHOOK_SECRET: a secret must not be empty or blank"):
        Settings()


def test_a_variable_in_small_letters_is_shown_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("webhook_receiver_port", "9001")
    assert {each.name: (each.value, each.origin) for each in origins()}["port"] == ("9001", "webhook_receiver_port")
    assert defaults("serve") == {"port": 9001}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('ap = "main:hooks"', "[tool.webhook-receiver] has 'ap', which is no setting: did you mean app?"),
        ("colour = 1", "which is no setting: there is app, inbox, host, "),
        (
            'secret = "x"',
            "secret has a secret, which does not belong into a file that others read: set WEBHOOK_RECEIVER_S",
        ),
        ('inbox = "postgresql://app:hush@db/hooks"', "inbox has a secret, which does not belong"),
        ('port = "x"', "pyproject.toml: port: Input should be a valid integer"),
        ("port = true", "pyproject.toml: port: Input should be a valid integer"),
        ("fd = true", "pyproject.toml: fd: Input should be a valid integer"),
        (
            "max-connections = 1\nmax_connections = 2",
            "pyproject.toml: max_connections is there twice, with a hyphen and",
        ),
        ("= 1", "pyproject.toml is no TOML: "),
        ("\n[tool]\nwebhook-receiver = 1", "pyproject.toml is no TOML: "),
    ],
)
def test_what_cannot_be_in_pyproject_is_told(text: str, complaint: str) -> None:
    pyproject(text)
    with pytest.raises(ConfigurationError, match=re.escape(complaint)) as raised:
        Settings()
    assert "hush" not in str(raised.value)


def test_a_table_that_is_none_is_told() -> None:
    Path("pyproject.toml").write_text("[tool]\nwebhook-receiver = 1", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=re.escape("is a table, written as [tool.webhook-receiver]")):
        Settings()
    pyproject('inbox = "sqlite:///hooks.db"\nignore = ["no-fallback"]')
    assert (Settings().inbox, Settings().ignore) == ("sqlite:///hooks.db", ["no-fallback"])


@pytest.mark.parametrize(
    "text",
    [
        '[tool.webhook-receiver]\napp = "main:hooks"',
        '[tool."webhook-receiver"]\napp = "main:hooks"',
        '[ tool . webhook-receiver ]\napp = "main:hooks"',
        '[tool]\nwebhook-receiver = { app = "main:hooks" }',
        'tool.webhook-receiver.app = "main:hooks"',
    ],
)
def test_a_table_counts_for_commands_however_toml_writes_it(text: str) -> None:
    Path("pyproject.toml").write_text(text, encoding="utf-8")
    assert Settings().app == "main:hooks"
    assert is_given()


def test_a_table_with_an_underscore_is_told() -> None:
    Path("pyproject.toml").write_text('[tool.webhook_receiver]\napp = "main:hooks"', encoding="utf-8")
    assert is_given()
    with pytest.raises(ConfigurationError, match=re.escape("written with a hyphen: [tool.webhook-receiver]")):
        Settings()


def test_where_the_package_is_only_named_nothing_is_set() -> None:
    text = '[project]\nname = "webhook-receiver-app"\ndependencies = ["asgi-webhook-receiver[standard]"]'
    Path("pyproject.toml").write_text(text, encoding="utf-8")
    assert not is_given()


def test_a_setting_that_is_asked_for_alone_is_the_one_that_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    pyproject('log-format = "json"\nport = "none"')
    assert alone("log_format") == "json"
    monkeypatch.setenv("webhook_receiver_log_format", "text")
    assert alone("log_format") == "text"


def test_a_list_in_the_environment_has_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBHOOK_RECEIVER_IGNORE", "no-fallback, weak-secret,")
    assert Settings().ignore == ["no-fallback", "weak-secret"]
    assert {each.name: each.value for each in origins()}["ignore"] == "no-fallback,weak-secret"


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("sqlite:////var/lib/hooks.db?window=7d", "sqlite:////var/lib/hooks.db?window=7d"),
        ("postgresql://app:hush@db.example:5432/hooks", "postgresql://app:***@db.example:5432/hooks"),
        ("postgresql://db/hooks?user=app&password=hush", "postgresql://db/hooks?user=app&password=***"),
        ("postgresql://db/hooks?password=a&hush=1", "postgresql://db/hooks?password=***"),
        ("postgresql://db:1/hooks?p%61ssword=hush", "postgresql://db:1/hooks?p%61ssword=***"),
        ("postgresql://app:a#hush@db/hooks", "postgresql://app:***@db/hooks"),
        ("postgresql://app:a?hush@db/hooks", "postgresql://app:***@db/hooks"),
        ("postgresql://app:a/hush@db/hooks", "postgresql://app:***@db/hooks"),
        ("postgresql://app:a@hush@db/hooks", "postgresql://app:***@db/hooks"),
        ("postgresql://app:hush", "postgresql://***"),
        ("redis://:hush@cache/0", "redis://:***@cache/0"),
        ("host=db user=app password=hush", "***"),
        ("postgresql://app@[::1]:5432,db.example/hooks", "postgresql://app@[::1]:5432,db.example/hooks"),
        ("postgresql:///hooks?host=/run/postgresql", "postgresql:///hooks?host=/run/postgresql"),
        ("hooks.db", "hooks.db"),
        ("postgresql://db/hooks?sslpassword=hush", "postgresql://db/hooks?sslpassword=***"),
        ("postgresql://[hush", "postgresql://***"),
    ],
)
def test_the_password_of_an_inbox_is_masked(url: str, masked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown("inbox", url) == masked
    monkeypatch.setenv("WEBHOOK_RECEIVER_INBOX", url)
    assert "hush" not in repr(Settings())
    monkeypatch.delenv("WEBHOOK_RECEIVER_INBOX")
    pyproject(f'inbox = "{url}"')
    if url == masked:
        assert Settings().inbox == url
    else:
        with pytest.raises(ConfigurationError, match="inbox has a secret, which does not belong") as raised:
            Settings()
        assert "hush" not in str(raised.value)


def test_the_json_of_the_settings_shows_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings.model_validate_json(Settings().model_dump_json()) == Settings()
    monkeypatch.setenv("WEBHOOK_RECEIVER_SECRET", "hush")
    monkeypatch.setenv("WEBHOOK_RECEIVER_INBOX", "postgresql://app:hush@db/hooks")
    monkeypatch.setenv("WEBHOOK_RECEIVER_SSL_KEYFILE_PASSWORD", "hush")
    dumped = json.loads(Settings().model_dump_json())
    assert (dumped["secret"], dumped["inbox"]) == ("**********", "postgresql://app:***@db/hooks")
    assert "hush" not in str(dumped)
    assert Settings().model_dump()["secret"] == Secret("hush")


def test_a_variable_that_is_no_setting_is_found_with_the_one_that_is_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBHOOK_RECEIVER_PROT", "8000")
    monkeypatch.setenv("WEBHOOK_RECEIVER_SECRET_FLIE", "8000")
    monkeypatch.setenv("WEBHOOK_RECEIVER_ZZZ", "")
    assert unknown_variables() == [
        ("WEBHOOK_RECEIVER_PROT", "WEBHOOK_RECEIVER_PORT"),
        ("WEBHOOK_RECEIVER_SECRET_FLIE", "WEBHOOK_RECEIVER_SECRET_FILE"),
        ("WEBHOOK_RECEIVER_ZZZ", ""),
    ]


def test_a_setting_that_a_subclass_adds_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    class Shop(Settings):
        stripe_key: str = ""

    monkeypatch.setenv("WEBHOOK_RECEIVER_STRIPE_KEY", "sk")
    assert (Shop().stripe_key, unknown_variables()) == ("sk", [])


def test_the_settings_of_a_command_have_the_defaults_of_its_options() -> None:
    for command, names in OPTIONS.items():
        defaults = {each.name: each.default for each in loaded(command).params}
        for name in names:
            assert defaults[name] == (Settings.model_fields[name].get_default(call_default_factory=True) or None) or (
                defaults[name] == Settings.model_fields[name].default
            ), name


@pytest.mark.parametrize("command", ["serve", "worker"])
def test_every_option_of_what_is_deployed_is_a_setting(command: str) -> None:
    assert {each.name for each in loaded(command).params} - {"target", "reload", "version"} == {*OPTIONS[command]}


def test_every_setting_is_of_some_use_and_says_what_it_is() -> None:
    used = {name for names in OPTIONS.values() for name in names} | {"app", "secret", "inbox"}
    assert used == Settings.model_fields.keys()
    assert all((field.description or "").endswith(".") for field in Settings.model_fields.values())


def test_the_guide_has_every_setting_with_its_default() -> None:
    guide = ROOT.joinpath("docs", "settings.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \|([^|]*)\|", guide, re.MULTILINE))
    assert list(rows) == list(Settings.model_fields)
    for name, field in Settings.model_fields.items():
        default = field.get_default(call_default_factory=True)
        assert rows[name].strip("` ") == ("" if default in (None, []) else str(default)), name
