"""Runbooks of Ansible: playing them, what their events say, and the callback that tells of them."""

from chaosrunner.runbooks.ansible.playing import Ansible as Ansible
