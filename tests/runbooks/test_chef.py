"""Chef's output as its `doc` formatter writes it, and a client that behaves so. No real one was at hand."""

from __future__ import annotations

import pytest

from chaosrunner.errors import RunbookFailed, UsageError
from chaosrunner.ports import ProbeContext
from chaosrunner.runbooks.chef import Chef, Params, said
from tests.runbooks.conftest import Put

WHY_RUN = """\
Cinc Client, version 18.4.12
Converging 4 resources
Recipe: limits::default
  * file[/etc/shop/limits.conf] action create
    - Would update content from 9a2c to 1f00
    --- /etc/shop/limits.conf\t2026-11-22
    +++ /etc/shop/.chef-limits.conf\t2026-11-22
    @@ -1 +1 @@
    -timeout=9
    +timeout=2
  * service[shop] action restart
    * Service status not available. Assuming a prior action would have installed the service.
    - Would restart service service[shop]

  * directory[/etc/shop] action create (up to date)
  * custom[x] action run (Skipped: whyrun not supported by provider Chef::Provider::Custom)

Running handlers:
Running handlers complete
Cinc Client finished, 2/4 resources would have been updated
"""

CLIENT = """\
#!/bin/sh
# Converges one file, as the client does; what it was asked is put down.
echo "$@" >>asked
case "$*" in *--why-run*) would="Would " how="would have been updated";; *) would= how="updated in 01 seconds";; esac
echo "Starting Cinc Client, version 18"
printf '  * file[limits] action create'
if [ "$(cat limits 2>/dev/null)" = 2 ]; then echo ' (up to date)'; n=0
else printf '\\n    - %screate new file limits\\n' "$would"; n=1; [ -n "$would" ] || echo 2 >limits; fi
echo
echo "Cinc Client finished, $n/1 resources $how"
"""


def test_what_would_change_and_what_is_only_assumed() -> None:
    says = said(WHY_RUN, 0, check=True)
    assert [each.what for each in says.changes] == [
        "file[/etc/shop/limits.conf] action create: Would update content from 9a2c to 1f00",
        "service[shop] action restart: Would restart service service[shop]",
    ]
    assert says.changes[0].diff.splitlines()[-2:] == ["-timeout=9", "+timeout=2"]
    assert says.unknown == (
        "service[shop] action restart: Service status not available. "
        "Assuming a prior action would have installed the service.",
        "custom[x] action run: cannot be asked in why-run mode",
    )


@pytest.mark.parametrize(
    ("output", "code", "check", "words"),
    [
        (WHY_RUN, 1, True, "Chef ended with 1: Cinc Client finished"),
        (WHY_RUN, 0, False, "in why-run mode, and was to be applied"),
        (
            WHY_RUN.replace("would have been updated", "updated in 02 seconds"),
            0,
            True,
            "for real, and was to be checked",
        ),
        (WHY_RUN.replace("2/4", "0/0"), 0, True, "the run list is empty"),
        ("Chef Client failed. 1 resources updated\n[2026] FATAL: Net::HTTP: refused\n", 0, False, "FATAL: Net::HTTP"),
        ("", 0, True, "Chef ended with 0: it said nothing"),
    ],
)
def test_what_is_not_certain_is_a_failure(output: str, code: int, check: bool, words: str) -> None:
    with pytest.raises(RunbookFailed, match=words):
        said(output, code, check=check)


def test_updates_that_cannot_be_read_are_drift() -> None:
    says = said("Chef Client finished, 3/9 resources would have been updated\n", 0, check=True)
    assert [each.what for each in says.changes] == ["3 resources, which are not to be read from the output"]


async def test_a_client_is_asked_first_and_then_converges(context: ProbeContext, put: Put) -> None:
    put("cinc-client", CLIENT)
    chef = Chef(Params(local=True, runlist="recipe[limits]"), context)
    assert [each.what for each in (await chef.check()).changes] == [
        "file[limits] action create: Would create new file limits"
    ]
    assert not (context.folder / "limits").exists()
    assert [each.what for each in (await chef.apply()).changes] == [
        "file[limits] action create: create new file limits"
    ]
    assert (await chef.check()).as_wanted
    first, second, _ = (context.folder / "asked").read_text().splitlines()
    assert "--why-run" in first and "--why-run" not in second
    assert "--local-mode" in second and "--override-runlist recipe[limits]" in second


async def test_a_folder_that_is_not_there_is_said(context: ProbeContext) -> None:
    with pytest.raises(UsageError, match=r"there is no folder .*/cookbooks-of-mine"):
        await Chef(Params(folder="cookbooks-of-mine"), context).check()
