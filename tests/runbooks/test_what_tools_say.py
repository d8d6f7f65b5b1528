"""What Ansible and Puppet wrote, and what is made of it."""

from __future__ import annotations

from typing import Any

import pytest

from chaosrunner.errors import RunbookFailed
from chaosrunner.model.runbook import RunbookSays
from chaosrunner.runbooks import puppet
from chaosrunner.runbooks.ansible import events
from tests.runbooks.conftest import RECORDED


def ansible(name: str, code: int, *, check: bool = True, output: str = "what it said") -> RunbookSays:
    return events.said(events.read_events((RECORDED / f"ansible-{name}.jsonl").read_text()), code, output, check=check)


def read(name: str) -> Any:
    return puppet.parsed((RECORDED / f"puppet-{name}.yaml").read_text())


# ------------------------------------------------------------------------------------------------------------- ansible


def test_what_would_change_is_told_by_host_and_task_with_its_diff() -> None:
    says = ansible("check", 0)
    assert [each.line for each in says.changes] == [
        "localhost: write limits",
        "localhost: a folder",
        "localhost: secret",
        "localhost: many (a, b)",
    ]
    limits, folder, secret, many = (each.diff for each in says.changes)
    assert limits.splitlines()[3:] == ["+timeout=2", "+password=hunter2"]
    assert '-  "state": "absent"' in folder and '+  "state": "directory"' in folder
    assert secret.startswith("the output has been hidden") and "+a" in many and "+b" in many
    assert says.in_words == "4 changes on 1 host; 6 things cannot be told"


def test_what_was_changed_by_a_playbook_that_was_stopped_is_known() -> None:
    cut = events.read_events((RECORDED / "ansible-failed.jsonl").read_text())[:3]
    assert events.changed(cut) == ("localhost: write limits",)


def test_what_is_not_run_while_checking_is_unknown_and_what_a_condition_skips_is_not() -> None:
    unknown = ansible("check", 0).unknown
    assert unknown[:2] == (
        "localhost: restart it is not run while only checking",
        "localhost: asks runs while checking too (check_mode: false), and says it changed",
    )
    assert "localhost: fails but failed, which the playbook ignores: non-zero return code" in unknown
    assert "localhost: shell loop is not run while only checking" in unknown
    assert unknown[-1] == "the play none met no host"
    assert not any("not here" in each or "guarded" in each for each in unknown)


def test_a_host_out_of_reach_is_never_no_drift() -> None:
    with pytest.raises(RunbookFailed, match=r"out of reach, so that nothing can be said of it: away: .*refused"):
        ansible("unreachable", 4)


def test_a_failure_says_where_and_what_was_changed_before_it() -> None:
    with pytest.raises(RunbookFailed) as failed:
        ansible("failed", 2, check=False)
    assert str(failed.value) == (
        "localhost: start it: non-zero return code: /bin/ls: cannot access '/nonexistent': No such file or directory"
    )
    assert failed.value.changed[0] == "localhost: write limits" and failed.value.output == "what it said"


def test_a_playbook_that_meets_no_host_is_a_failure_although_it_ends_with_0() -> None:
    with pytest.raises(RunbookFailed, match="the playbook met no host"):
        ansible("no-hosts", 0)


def test_check_mode_that_somebody_elses_configuration_turns_on_is_no_apply() -> None:
    with pytest.raises(RunbookFailed, match="in check mode, and was to be applied"):
        ansible("check", 0, check=False)
    with pytest.raises(RunbookFailed, match="for real, and was to be checked only"):
        ansible("failed", 0)


def test_a_playbook_that_cannot_be_read_says_why() -> None:
    output = "[WARNING]: no inventory\n[ERROR]: YAML parsing failed: no node\nOrigin: x.yaml:2:1\n"
    with pytest.raises(RunbookFailed, match=r"did not begin to play \(exit code 4\): \[ERROR\]: YAML parsing failed"):
        events.said([], 4, output, check=True)


def test_a_run_that_was_cut_off_is_no_success() -> None:
    """Neither a line that ends in its middle, nor one without the figures at the end."""
    lines = (RECORDED / "ansible-check.jsonl").read_text()
    cut = events.read_events(lines[: lines.index('"stats"') + 20])
    with pytest.raises(RunbookFailed, match="ended with 0: what it said"):
        events.said(cut, 0, "what it said", check=True)


# -------------------------------------------------------------------------------------------------------------- puppet


def test_drift_is_read_from_what_puppet_writes_and_not_from_its_exit_code() -> None:
    says = puppet.said(read("noop-summary"), read("noop-report"), 0, "", check=True)
    assert [each.what.split(":")[0] for each in says.changes] == [
        "File[/etc/shop/limits.conf] content",
        "File[/etc/shop/limits.conf] mode",
        "Exec[/bin/false] returns",
        "File[/etc/shop/dep] ensure",
    ]
    assert "-timeout=2\n+timeout=3" in says.changes[0].diff and not says.changes[1].diff
    assert says.changes[0].what.endswith("content: current_value '{sha256}327d650d…', should be '{sha256}62e9ec87…'")
    assert says.changes[1].what.endswith("current_value '0644', should be '0600'")


def test_a_failed_resource_fails_it_with_what_was_changed_before() -> None:
    with pytest.raises(RunbookFailed) as failed:
        puppet.said(read("failed-summary"), read("failed-report"), 6, "", check=False)
    assert str(failed.value).startswith(
        "Exec[/bin/false]: change from 'notrun' to ['0'] failed: '/bin/false' returned 1"
    )
    assert [each.split(":")[0] for each in failed.value.changed] == [
        "File[/etc/shop/limits.conf] content",
        "File[/etc/shop/limits.conf] mode",
    ]


def test_failed_resources_count_where_puppet_ends_with_0() -> None:
    with pytest.raises(RunbookFailed, match=r"Exec\[/bin/false\]"):
        puppet.said(read("failed-summary"), read("failed-report"), 0, "", check=False)


def test_without_a_summary_nothing_is_known_and_facters_complaints_are_no_reason() -> None:
    output = (
        "Error: Facter: Permission denied\nError: Could not parse: Syntax error\nError: Facter: Permission denied\n"
    )
    with pytest.raises(RunbookFailed, match=r"wrote no summary \(exit code 1\): Could not parse: Syntax error"):
        puppet.said(None, None, 1, output, check=True)


def test_a_check_that_changed_something_is_told() -> None:
    summary = {"resources": {"changed": 1, "failed": 0}, "events": {"success": 1}}
    with pytest.raises(RunbookFailed, match="changed something although"):
        puppet.said(summary, {}, 0, "", check=True)


def test_drift_that_the_report_does_not_name_is_drift_and_what_an_apply_leaves_alone_is_told() -> None:
    says = puppet.said({"resources": {"out_of_sync": 2}}, None, 0, "", check=True)
    assert says.drift and "2 resources are not as they should be" in says.changes[0].what
    left = puppet.said({"resources": {"skipped": 1}}, read("noop-report"), 0, "", check=False)
    assert not left.changes and "1 resources were skipped" in left.unknown
    assert "Exec[/bin/false] is left as it is: it says `noop` itself" in left.unknown


def test_objects_of_ruby_are_read_as_plain_values() -> None:
    assert puppet.parsed("--- !ruby/object:Puppet::Report\na: !ruby/sym b\nc: !ruby/array:X [1]\n") == {
        "a": "b",
        "c": [1],
    }
    assert puppet.parsed("--- !!python/object/apply:os.system ['true']\n") is None
    assert puppet.parsed("{") is None and puppet.parsed("- 1") is None
