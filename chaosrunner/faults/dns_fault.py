"""Make names resolve badly."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal

from chaosrunner.errors import CannotDoHonestly
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.marks import AfterValidator, Field, JsonValue, model_validator
from chaosrunner.model.quantities import Duration, Ratio, show, write_duration
from chaosrunner.network import PodFault, looks_to_see, share_seen_in
from chaosrunner.ports import Parameters, Sighting, Target

EVERYWHERE = "kubernetes.default.svc"
"""A name that every cluster answers, looked at where all names are meant."""
MOST = 40
"""Questions of one look."""
SILENT_AFTER = 1.4


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise ValueError(f"expected an address such as 192.0.2.1, found {text!r}") from None


class Params(Parameters):
    """Which names, and what becomes of questions for them. At least one of `answer` and `delay`."""

    names: tuple[str, ...] = ()
    """Names, with `*` for anything; one also stands for itself within the pod's search domains. Default: those of the
    target's `to`; without one, all names."""
    answer: Literal["nxdomain", "servfail", "refused", "silent", "wrong"] | None = None
    """nxdomain: there is no such name; servfail: the server failed; refused: it does not want to answer; silent: no
    answer at all, as when the server is down; wrong: `address`."""
    address: Annotated[str, AfterValidator(_address)] = "192.0.2.1"
    """With `answer: wrong`: the address that names have; default 192.0.2.1, which is nobody's (RFC 5737)."""
    delay: Duration = Field(default=0.0, ge=0)
    """Before the answer, whichever it is."""
    share: Ratio = Field(default=1.0, gt=0)
    """Of questions, chosen one by one; default 100%. Less than 14% is refused while planning, since seeing it would
    take too many questions."""

    @model_validator(mode="after")
    def _does_something(self) -> Params:
        if self.answer is None and not self.delay:
            raise ValueError("expected answer, delay or both: what becomes of questions")
        if self.answer == "silent" and self.delay:
            raise ValueError("with answer: silent there is nothing to delay")
        return self


class DnsFault(PodFault[Params]):
    """Answers a pod's questions for names wrongly, late or not at all; all other questions get their real answers.

    Addresses that a client has resolved before and keeps are not asked for again: what keeps open connections or caches
    names notices nothing, which is itself a finding. Made-up answers may be kept for a second. Encrypted DNS (over TLS
    or HTTPS) and files of hosts are not reached; then nothing meets the fault, and the run is inconclusive.

    At the end questions get their real answers again.
    """

    acts_on = frozenset({"link", "pod"})
    fault_class = "name-resolution"
    harder = {"delay": "more", "share": "more"}
    late: ClassVar[Mapping[str, JsonValue]] = {"address": "192.0.2.1"}
    example = """\
- fault: dns-fault
  target: {service: checkout, to: payments}
  with: {answer: servfail}
  for: 30s
"""

    @classmethod
    def identity(cls, params: Params, target: Target) -> dict[str, str]:
        """Which names, where the target does not say it."""
        return {"names": ", ".join(sorted(params.names))} if params.names else {}

    @classmethod
    def does(cls, params: Params) -> str:
        which = "Questions" if params.share == 1 else f"{show(params.share, 'ratio')} of the questions"
        names = " or ".join(params.names) or "the other end's names (all names, where the target has no `to`)"
        answers = {
            None: "are answered",
            "nxdomain": "are told that there is no such name",
            "servfail": "are told that the server failed",
            "refused": "are refused by the server",
            "silent": "get no answer",
            "wrong": f"are told {params.address}",
        }
        late = f" {write_duration(params.delay)} late" if params.delay else ""
        return f"{which} for {names} {answers[params.answer]}{late}."

    @classmethod
    def undoes(cls, params: Params) -> str:
        return "Questions get their real answers; what clients keep of made-up ones is kept for a second at most."

    async def check(self) -> None:
        if self._asked > MOST:
            raise CannotDoHonestly(
                f"seeing {show(self.params.share, 'ratio')} of the questions hit would take {self._asked} questions a "
                f"look, which is a load of its own; use a share of at least {share_seen_in(MOST)}"
            )
        names = await self._names()
        if names and all("*" in name for name in names):
            raise CannotDoHonestly(
                "no name without a * is given, so that none is known that can be looked up to see it"
            )
        await self.links.check(self.target)

    async def prepare(self) -> JsonObject:
        names = await self._names()
        return {"names": list(names), "look": next((name for name in names if "*" not in name), EVERYWHERE)}

    async def inject(self) -> None:
        params = self.params
        asked: JsonObject = {"names": list(await self._names()), "share": params.share, "seed": self.hold.seed}
        asked |= {"answer": params.answer, "address": params.address} if params.answer else {}
        asked |= {"delay": params.delay} if params.delay else {}
        await self.links.act(self.target, {"dns": asked, "match": {"way": "egress"}}, self.hold)

    async def confirm(self, prepared: JsonObject) -> Sighting:
        """Asks as a client in the pod does, and past the fault beside it: a name that is gone by itself is not ours."""
        name = str(prepared.get("look"))
        wait = ["--silent-after", f"{SILENT_AFTER + self.params.delay:g}"]
        looks = [self.links.look(self.target, ["dns", name, *wait]) for _ in range(self._asked)]
        around, *seen = await asyncio.gather(self.links.look(self.target, ["dns", name, "--around", *wait]), *looks)
        hit = [one for one in seen if self._is_hit(one, around)]
        took, without = (float(str(one.get("seconds") or 0)) for one in ((hit or seen)[0], around))
        words = f"{name} is answered {_said((hit or seen)[0])} after {show(took, 's')}"
        if self._is_hit(around, {}) and not self.params.delay:
            return Sighting(False, f"nothing can be said: past the fault {name} is answered {_said(around)}, too")
        beside = f"without the fault {_said(around)} after {show(without, 's')}"
        share = f" ({len(hit)} of {len(seen)} questions)" if len(seen) > 1 else ""
        return Sighting(bool(hit), f"{words}, {beside}{share}")

    def _is_hit(self, seen: JsonObject, around: JsonObject) -> bool:
        answer, seconds = self.params.answer, float(str(seen.get("seconds") or 0))
        if answer == "wrong" and seen.get("addresses") != [self.params.address]:
            return False
        if answer not in (None, "wrong") and seen.get("answer") != answer:
            return False
        beside = float(str(around.get("seconds") or 0)) if around else 0.0
        return not self.params.delay or seconds - beside >= self.params.delay / 2

    @property
    def _asked(self) -> int:
        """Questions of one look."""
        return looks_to_see(self.params.share)

    async def _names(self) -> Sequence[str]:
        if self.params.names or self.target.kind != "link":
            return self.params.names
        names = (await self.links.end_of(self.target)).names
        if not names:
            raise CannotDoHonestly(f"{self.target.to} is reached by its address, not by a name: give `names`")
        return names


def _said(seen: JsonObject) -> str:
    addresses = seen.get("addresses")
    if isinstance(addresses, list) and addresses:
        return ", ".join(map(str, addresses))
    return str(seen.get("answer"))
