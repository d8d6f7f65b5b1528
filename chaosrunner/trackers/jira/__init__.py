"""Remediation items as work items of Jira Cloud."""

from chaosrunner.trackers.jira.tracker import Jira, Params

__all__ = ["Jira", "Params"]
