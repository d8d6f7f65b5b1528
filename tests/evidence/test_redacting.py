"""Secrets and people's addresses never get into evidence."""

from __future__ import annotations

import pytest

from chaosrunner.judging.redacting import redacted


@pytest.mark.parametrize(
    "line",
    [
        "login with password=hunter2xyz failed",
        'body {"user": "a", "api_key": "hunter2xyz"}',
        "Authorization: Bearer hunter2xyz",
        "sent bearer hunter2xyz to the API",
        "GET /x?access_token=hunter2xyz&page=2",
        "postgres://shop:hunter2xyz@db:5432/orders is gone",
        "jwt eyJhbGciOiJI.hunter2xyz.sig was refused",
        "key AKIAHUNTER2XYZ123456 leaked",
        "token ghp_hunter2xyzabcdef of the robot",
        "mail to hunter2xyz@example.com bounced",
        "-----BEGIN RSA PRIVATE KEY----- hunter2xyz",
        "set-cookie: session_id=hunter2xyz; path=/",
        "AWS_SECRET_ACCESS_KEY=hunter2xyz",
    ],
)
def test_what_looks_like_a_secret_is_taken_out(line: str) -> None:
    assert "hunter2xyz" not in redacted(line).lower()


@pytest.mark.parametrize(
    "line",
    ["GET /orders/7 200 in 12 ms", "no free worker: 3 requests wait", "author = anna", "the token bucket is empty"],
)
def test_other_lines_stay_as_they_are(line: str) -> None:
    assert redacted(line) == line
