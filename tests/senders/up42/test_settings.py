"""Where the API is and who asks: what is taken from where, and what is rejected with the variable's name."""

from __future__ import annotations

import pytest

from webhook_receiver import ConfigurationError
from webhook_receiver.senders.up42.settings import Settings, is_local


def test_the_environment_says_it_all(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"USERNAME": "me", "PASSWORD": "pw", "REGION": "sa", "WORKSPACE_ID": "w-1"}.items():
        monkeypatch.setenv(f"UP42_{name}", value)
    settings = Settings.of()
    assert (settings.username, settings.workspace_id) == ("me", "w-1")
    assert settings.password is not None
    assert settings.password.get_secret_value() == "pw"
    assert (settings.hosts.api, settings.hosts.auth) == ("https://api.sa.up42.com", "https://auth.sa.up42.com")


def test_the_region_is_europe_unless_said_otherwise() -> None:
    assert Settings.of(token="t").hosts.api == "https://api.up42.com"


def test_a_url_is_both_hosts() -> None:
    hosts = Settings.of(token="t", url="http://127.0.0.1:8000/").hosts
    assert (hosts.api, hosts.auth) == ("http://127.0.0.1:8000", "http://127.0.0.1:8000")


def test_an_argument_goes_before_the_environment_and_ousts_what_cannot_stand_beside_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("UP42_TOKEN", "old")
    monkeypatch.setenv("UP42_URL", "https://other.example.com")
    settings = Settings.of(username="me", password="pw", region="eu")
    assert settings.token is None
    assert settings.hosts.api == "https://api.up42.com"
    monkeypatch.delenv("UP42_TOKEN")
    monkeypatch.setenv("UP42_USERNAME", "me")
    monkeypatch.setenv("UP42_PASSWORD", "pw")
    assert Settings.of(token="t").password is None
    monkeypatch.delenv("UP42_URL")
    monkeypatch.setenv("UP42_REGION", "sa")
    assert Settings.of(url="https://api.example.com").hosts.api == "https://api.example.com"


def test_an_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UP42_TOKEN", "")
    monkeypatch.setenv("UP42_REGION", "")
    assert Settings.of(username="me", password="pw").hosts.api == "https://api.up42.com"


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({}, "no credentials: set UP42_USERNAME and UP42_PASSWORD, or UP42_TOKEN"),
        ({"username": "me"}, "UP42_PASSWORD is missing"),
        ({"password": "pw"}, "UP42_USERNAME is missing"),
        ({"username": "", "password": ""}, "no credentials"),
        ({"token": "t", "username": "me", "password": "pw"}, "UP42_TOKEN is in place of UP42_USERNAME"),
        ({"token": "t", "url": "https://a.example", "region": "eu"}, "UP42_URL is in place of UP42_REGION"),
        ({"token": "t", "region": "us"}, "UP42_REGION: Input should be 'eu' or 'sa'"),
        ({"token": "t", "url": "api.example.com"}, "UP42_URL: is not of the form https://host"),
        ({"token": "t", "url": "https://host:port"}, "UP42_URL: is not of the form https://host"),
        ({"token": "t", "url": "https://host/?key=1"}, "UP42_URL: is not of the form https://host"),
        ({"token": "t", "url": "ftp://host"}, "UP42_URL: is not of the form https://host"),
        ({"token": "t", "url": "https://me:hush@host"}, "UP42_URL: holds a user name"),
        ({"token": "t", "url": "http://api.example.com"}, "UP42_URL: must be https"),
        ({"username": "me", "password": "\udcff-hush"}, "UP42_PASSWORD: has lone surrogates"),
    ],
)
def test_what_cannot_be_is_rejected_by_its_name_and_not_shown(given: dict[str, str], complaint: str) -> None:
    with pytest.raises(ConfigurationError) as rejected:
        Settings.of(**given)
    assert complaint in str(rejected.value)
    assert "hush" not in str(rejected.value)


def test_what_is_confidential_is_masked() -> None:
    assert "hush" not in repr(Settings.of(username="me", password="hush"))
    assert "hush" not in repr(Settings.of(token="hush"))


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://localhost:1/", True),
        ("http://127.1.2.3", True),
        ("http://[::1]:80", True),
        ("http://example.com", False),
        ("http://localhost.example.com", False),
        ("http://10.0.0.1", False),
        ("", False),
    ],
)
def test_this_machine_is_known_by_its_names(url: str, local: bool) -> None:
    assert is_local(url) is local
