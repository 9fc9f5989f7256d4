"""`kia serve` refuses what it should, in one line, before it loads a model."""

import socket

import pytest

from kia.serving.server import is_loopback


@pytest.mark.parametrize(
    ("host", "alone"),
    [
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.5", False),
        ("example.org", False),
        ("", False),
    ],
)
def test_which_addresses_are_of_this_machine_alone(host, alone):
    assert is_loopback(host) is alone


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--host", "0.0.0.0"], 2, "KIA_TOKEN"),
        (["--host", "::"], 2, "--token"),
        (["--token", "short"], 2, "--token"),
        (["--host", "203.0.113.1", "--token", "long-enough"], 1, "cannot listen on 203.0.113.1"),
        (["--port", "0"], 1, "no model"),
        (["--queue", "0"], 2, "--queue"),
    ],
)
def test_what_it_refuses(kia_command, tmp_path, monkeypatch, words, code, said):
    monkeypatch.delenv("KIA_TOKEN", raising=False)
    found, out, err = kia_command("serve", str(tmp_path), "--no-page", *words)
    assert (found, out) == (code, "")
    assert said in err and err.count("error: ") == 1 and "Traceback" not in err


def test_a_port_that_is_taken_is_named(kia_command, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, _, err = kia_command("serve", str(tmp_path), "--port", port, "--no-page")
    assert code == 1 and f"port {port}" in err and "--port" in err


def test_settings_are_read_from_the_environment():
    from kia.errors import ConfigError
    from kia.serving.settings import Settings

    found = Settings.from_environment({"KIA_MODEL": "m", "KIA_QUEUE": "9", "KIA_PAGE": "no"})
    assert (str(found.model), found.queue, found.page, found.token) == ("m", 9, False, None)
    with pytest.raises(ConfigError, match="KIA_MODEL"):
        Settings.from_environment({})
    with pytest.raises(ConfigError, match="KIA_QUEUE"):
        Settings.from_environment({"KIA_MODEL": "m", "KIA_QUEUE": "many"})


def test_the_application_of_other_servers_is_made_from_the_environment(model_folder, monkeypatch):
    from starlette.testclient import TestClient

    from kia.serving.app import create_app

    monkeypatch.setenv("KIA_MODEL", str(model_folder))
    monkeypatch.setenv("KIA_PAGE", "no")
    monkeypatch.setenv("KIA_DECODERS", "1")
    with TestClient(create_app()) as client:
        assert client.get("/readyz").json() == {"status": "ok"}
