"""What an environment file may say about the local platform: one right file, and one change at a time."""

from __future__ import annotations

from typing import Any

import pytest

from chaosrunner.platforms.local import LocalPlatform

GOOD: dict[str, Any] = {
    "services": {
        "checkout": {
            "start": ["python3", "checkout.py"],
            "ready": {"http": "http://127.0.0.1:7001/healthz"},
            "restart": {"after": "1s"},
            "cwd": "src",
            "env": {"A": "b"},
        },
        "postgres": {"listens": 5432},
    },
    "links": {"to-db": {"from": "checkout", "to": "postgres", "listen": "127.0.0.1:8003", "connect": "127.0.0.1:5432"}},
}


def changed(path: str, value: Any) -> dict[str, Any]:
    import copy

    spec = copy.deepcopy(GOOD)
    *way, last = path.split(".")
    place = spec
    for word in way:
        place = place[word]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return spec


def test_a_right_one_is_read_and_written_the_same_way() -> None:
    spec = LocalPlatform.Spec.model_validate(GOOD)
    assert LocalPlatform.Spec.model_validate(spec.as_json()) == spec


def test_a_listening_port_may_be_a_number_or_an_address() -> None:
    for value in (5432, "127.0.0.1:5432", "[::1]:5432"):
        LocalPlatform.Spec.model_validate(changed("services.postgres.listens", value))


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("links.to-db.to", "postgras", "names the unknown service 'postgras', did you mean 'postgres'?"),
        ("links.to-db.from", "nobody", "links.to-db.from names the unknown service 'nobody', known are"),
        ("links.to-db.connect", "127.0.0.1:8003", "listens where it connects to"),
        ("links.to-db.listen", "8003", 'expected an address such as "127.0.0.1:8003"'),
        ("links.to-db.listen", "127.0.0.1:99999", "expected an address"),
        ("services.postgres", {}, "expected a way to start or find it"),
        ("services.postgres.listens", 0, "expected a port from 1 to 65535"),
        ("services.postgres.listens", True, "expected a port such as 5432, or an address such as"),
        ("services.postgres.env", {"A": "b"}, "env only mean something together with start"),
        ("services.postgres.command", "(", "not a regular expression"),
        ("services.checkout.ready", {}, "expected one of http or tcp"),
        ("services.checkout.ready.http", "127.0.0.1:7001", "expected a URL such as"),
        ("services.checkout.ready.http", "https://127.0.0.1:7001/", "expected a URL such as"),
        ("services.checkout.restart", "always", "never"),
        ("services.checkout.start", [], "at least 1"),
        ("services.checkout.colour", "red", "Extra inputs are not permitted"),
        ("services", {}, "at least 1"),
    ],
)
def test_a_mistake_is_refused_in_words(path: str, value: Any, words: str) -> None:
    with pytest.raises(ValueError) as problem:
        LocalPlatform.Spec.model_validate(changed(path, value))
    assert words in str(problem.value)


def test_two_links_cannot_listen_on_one_address() -> None:
    spec = changed("links.again", dict(GOOD["links"]["to-db"]))
    with pytest.raises(ValueError, match=r"links.again listens on 127.0.0.1:8003, and so does links.to-db"):
        LocalPlatform.Spec.model_validate(spec)
