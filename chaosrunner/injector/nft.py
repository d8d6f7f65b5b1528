"""nftables through its own library, in this process, so that the kernel takes our tables away when this process ends.

A table made with the flag `owner` belongs to the netlink socket that made it: the kernel removes it when that socket is
closed, however its process ended (Linux 5.12 and later). The program `nft` ends after each command, so it cannot own
anything; the library that it is made of, `libnftables.so.1`, keeps its socket as long as its context lives.

On an older kernel tables are made without an owner, and stay when their maker is killed: `owned` says which it is, and
`tables()` finds what was left. Standard library only.
"""

from __future__ import annotations

import ctypes
import hashlib
import re

from chaosrunner.injector.calls import RequestRefused

__all__ = ["PREFIX", "Nft", "NftError", "table_name", "tag"]

PREFIX = "chaosrunner_"
"""What the names of all our tables begin with."""
_COUNTER = re.compile(r"counter (\w+) \{\s+packets (\d+)")


class NftError(RequestRefused):
    """nftables said no; `str()` are its words."""


def tag(text: str) -> str:
    """A run's or a hold's id as it stands in names: eight hexadecimal digits of its SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def table_name(run: str, hold: str) -> str:
    """The table of a hold: `chaosrunner_<tag of the run>_<tag of the hold>`."""
    return f"{PREFIX}{tag(run)}_{tag(hold)}"


class Nft:
    """One netlink socket of our own to the network namespace that this process is in.

    Raises `RequestRefused` when the library is not there, `NftError` when nftables refuses, which needs NET_ADMIN.
    """

    def __init__(self) -> None:
        try:
            self._library = ctypes.CDLL("libnftables.so.1")
        except OSError as problem:
            raise RequestRefused(f"this image has no libnftables.so.1 (package nftables): {problem}") from problem
        self._declare()
        context = self._library.nft_ctx_new(0)
        if not context:
            raise NftError("nftables cannot be spoken to: no netlink socket (is NET_ADMIN granted?)")
        self._context: int | None = context
        self._library.nft_ctx_buffer_output(context)
        self._library.nft_ctx_buffer_error(context)
        self.owned = True
        """The kernel removes our tables when this process ends."""

    def _declare(self) -> None:
        library, pointer = self._library, ctypes.c_void_p
        library.nft_ctx_new.argtypes, library.nft_ctx_new.restype = [ctypes.c_uint32], pointer
        library.nft_ctx_free.argtypes, library.nft_ctx_free.restype = [pointer], None
        library.nft_run_cmd_from_buffer.argtypes = [pointer, ctypes.c_char_p]
        for name in ("nft_ctx_buffer_output", "nft_ctx_buffer_error"):
            getattr(library, name).argtypes = [pointer]
        for name in ("nft_ctx_get_output_buffer", "nft_ctx_get_error_buffer"):
            function = getattr(library, name)
            function.argtypes, function.restype = [pointer], ctypes.c_char_p

    def close(self) -> None:
        """Close the socket; tables that are owned go with it. Idempotent."""
        context, self._context = self._context, None
        if context is not None:
            self._library.nft_ctx_free(context)

    def make(self, name: str, comment: str, body: str, family: str = "inet") -> None:
        """Make a table with this body (chains, sets, counters), owned where the kernel can do that."""
        comment = "".join(sign for sign in comment if sign.isalnum() or sign in " -_.:/")[:120]
        lines = [f"table {family} {name} {{", f'comment "{comment}"', body, "}", ""]
        if self.owned:
            try:
                self.run("\n".join([lines[0], "flags owner", *lines[1:]]))
                return
            except NftError as refusal:
                if "not supported" not in str(refusal) and "Invalid argument" not in str(refusal):
                    raise
            self.owned = False
        self.run("\n".join(lines))

    def remove(self, name: str) -> bool:
        """Remove a table, of each family; false if it is not there. Raises `NftError` when another living process owns
        it."""
        families = [family for family, known in self._tables() if known == name]
        for family in families:
            try:
                self.run(f"delete table {family} {name}\n")
            except NftError as refusal:
                if (family, name) not in self._tables():
                    continue
                if "not permitted" in str(refusal):
                    raise NftError(f"{name} belongs to an injector that is alive: end it there") from refusal
                raise
        return bool(families)

    def tables(self) -> list[str]:
        """The names of our tables that there are in this network namespace, whoever made them."""
        return sorted({name for _, name in self._tables()})

    def _tables(self) -> list[tuple[str, str]]:
        lines = [line.split() for line in self.run("list tables\n").splitlines()]  # as JSON it is broken in 1.0.6
        return [(words[1], words[2]) for words in lines if words[0] == "table" and words[2].startswith(PREFIX)]

    def counters(self, name: str) -> dict[str, int]:
        """Packets that each named counter of a table has seen."""
        text = self.run(f"list counters table inet {name}\n")
        return {found[1]: int(found[2]) for found in _COUNTER.finditer(text)}

    def run(self, commands: str) -> str:
        """Do these commands, all or none of them; what nft prints."""
        if self._context is None:
            raise NftError("nftables is closed")
        wrong = self._library.nft_run_cmd_from_buffer(self._context, commands.encode())
        said = self._library.nft_ctx_get_output_buffer(self._context)
        complaint = self._library.nft_ctx_get_error_buffer(self._context).decode(errors="replace")
        if wrong:
            first = complaint.strip().splitlines()[0] if complaint.strip() else "nftables refused without a word"
            if "not permitted" in first and "belongs" not in first:
                first += " (rules need the capability NET_ADMIN, and a table can be changed by its owner only)"
            raise NftError(first)
        return bytes(said).decode(errors="replace")
