"""The arithmetic of service level objectives: error budgets and burn rates.

After "The Site Reliability Workbook" (Beyer, Murphy, Rensin, Kawahara and Thorne, 2018), chapter 5, "Alerting on
SLOs". The tests hold these functions to its worked examples for an objective of 99.9 % over 30 days: "Burn rates and
time to complete budget exhaustion" (errors of 0.1 %, 0.2 %, 1 % and 100 % are burn rates of 1, 2, 10 and 1000, and the
budget is gone after 30 days, 15 days, 3 days and 43 minutes) and "Multiple Burn Rate Alerts" (2 % of the budget in 1
hour is a burn rate of 14.4, 5 % in 6 hours one of 6, 10 % in 3 days one of 1).
"""

from __future__ import annotations


def burn_rate(errors: float, objective: float) -> float:
    """How many times faster than the objective allows the budget is used: 1 uses it up in just its window.

    `errors` is the share of bad events, `objective` the share of good ones that is promised, below 1.
    """
    return errors / (1 - objective)


def budget_left(errors: float, objective: float) -> float:
    """The share of the budget that is left when that share of the whole window's events was bad: 1 is all of it, 0
    nothing, and below 0 the objective is missed."""
    return 1 - burn_rate(errors, objective)
