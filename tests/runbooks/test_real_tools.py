"""Ansible and Puppet themselves: what they wrote into `recorded/` is what they still write. In real_time."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaosrunner.ports import ProbeContext
from chaosrunner.runbooks import puppet
from chaosrunner.runbooks.ansible import Ansible
from chaosrunner.runbooks.ansible.playing import Params
from tests.debian import program

pytestmark = pytest.mark.real_time

PLAYBOOK = """\
- hosts: localhost
  gather_facts: false
  tasks:
    - name: pages wait for two seconds at most
      ansible.builtin.copy: {dest: "{{ place }}", content: "timeout=2\\n"}
    - name: tell everybody
      ansible.builtin.command: {cmd: "touch {{ place }}.told"}
"""
MANIFEST = """\
file { '%s': ensure => file, content => "timeout=2\\n" }
exec { '/bin/touch %s.told': }
"""


async def test_ansible_is_asked_first_and_then_changes_it(context: ProbeContext, tmp_path: Path) -> None:
    (tmp_path / "limits.yaml").write_text(PLAYBOOK)
    limits = tmp_path / "limits.conf"
    limits.write_text("timeout=9\n")
    ansible = Ansible(Params(playbook="limits.yaml", vars={"place": str(limits)}), context)
    says = await ansible.check()
    assert limits.read_text() == "timeout=9\n" and not (tmp_path / "limits.conf.told").exists()
    assert [each.line for each in says.changes] == ["localhost: pages wait for two seconds at most"]
    assert "-timeout=9\n+timeout=2" in says.changes[0].diff
    assert says.unknown == ("localhost: tell everybody is not run while only checking",)
    says = await ansible.apply()
    assert limits.read_text() == "timeout=2\n" and (tmp_path / "limits.conf.told").exists()
    assert [each.what for each in says.changes] == ["pages wait for two seconds at most", "tell everybody"]


async def test_puppet_says_what_it_would_do_and_does_nothing(context: ProbeContext, tmp_path: Path) -> None:
    program("puppet", "puppet-agent")
    limits = tmp_path / "limits.conf"
    limits.write_text("timeout=9\n")
    (tmp_path / "limits.pp").write_text(MANIFEST % (limits, limits))
    settings = {"vardir": str(tmp_path / "var"), "confdir": str(tmp_path / "conf")}
    says = await puppet.Puppet(puppet.Params(manifest="limits.pp", settings=settings), context).check()
    assert limits.read_text() == "timeout=9\n" and not (tmp_path / "limits.conf.told").exists()
    content, told = says.changes
    assert (
        content.what.startswith(f"File[{limits}] content: current_value") and "-timeout=9\n+timeout=2" in content.diff
    )
    assert told.what.startswith(f"Exec[/bin/touch {limits}.told] returns")
    assert says.unknown == ()
