"""`kia serve` refuses what it should, in one line, before it loads a model."""

import socket

import pytest

from kia.errors import KIAError
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
        (["--allow-host", "http://x.org"], 2, "--allow-host: 'http://x.org': give a name"),
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


@pytest.mark.parametrize(
    ("words", "environment", "known"),
    [
        ([], {}, ("127.0.0.1",)),
        (["--allow-host", "a.org", "--allow-host", "b.org"], {}, ("a.org", "b.org", "127.0.0.1")),
        ([], {"KIA_ALLOW_HOST": "a.org,b.org"}, ("a.org", "b.org", "127.0.0.1")),
        (["--host", "0.0.0.0", "--token", "long-enough"], {}, ("0.0.0.0",)),
        (["--host", "", "--token", "long-enough"], {}, ()),
        (["--host", "::1"], {}, ("::1",)),
    ],
)
def test_it_goes_by_what_it_is_told_and_where_it_listens(
    kia_command, tmp_path, monkeypatch, words, environment, known
):
    seen = []

    def listen(host, port, settings):
        seen.append(settings.allow_host)
        raise KIAError("enough")

    monkeypatch.setattr("kia.serving.server.listen", listen)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    kia_command("serve", str(tmp_path), *words)
    assert seen == [known]


def test_beyond_this_machine_it_says_that_it_has_names(kia_command, tmp_path):
    words = ["--host", "0.0.0.0", "--port", "0", "--token", "long-enough"]
    _, _, err = kia_command("serve", str(tmp_path), *words)
    assert "--allow-host" in err
    _, _, err = kia_command("serve", str(tmp_path), *words, "--allow-host", "a.org")
    assert "--allow-host" not in err


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
    monkeypatch.setenv("KIA_ALLOW_HOST", "x-ray.example.org")
    with TestClient(create_app(), "http://x-ray.example.org") as client:
        assert client.get("/docs").status_code == 200
        assert client.get("/docs", headers={"host": "example.org"}).status_code == 421
        assert client.get("/readyz").json() == {"status": "ok"}
