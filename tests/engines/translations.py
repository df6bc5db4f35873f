"""The translator in the hands of a test, which says what is compiled and when: nothing is by itself, or kept."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from random import Random
from unittest.mock import patch

from msgspec.structs import replace

from hypernest.engines.engine import Devices
from hypernest.engines.translator import TranslatorEngine, engine
from hypernest.engines.translator.compiler import answer
from hypernest.engines.translator.host_pages import MemoryPath
from hypernest.engines.translator.record import decode_record, decode_reply, decode_request, encode
from hypernest.isa.isa import NativeIsa
from hypernest.memory import GuestMemory
from tests.engines.equivalence import PAGE, Pair

EVERYTHING = b"\xff" * (PAGE // 16)
"""As if every halfword of a page had been executed."""

compiled = lru_cache(maxsize=4096)(answer)  # many tests meet the same pages


class _Forgetful:
    """Stands for the store of regions."""

    problem = None

    def load(self, digest: bytes) -> list[bytes]:
        return []

    def save(self, digest: bytes, head: int, record: bytes) -> None:
        pass

    def close(self) -> None:
        pass


class DirectedTranslator(TranslatorEngine):
    """Compiles what `translate` says, at once."""

    def __init__(
        self,
        isa: NativeIsa,
        memory: GuestMemory,
        devices: Devices,
        cache: Path | None = None,
        memory_path: MemoryPath = MemoryPath.SOFT,
    ) -> None:
        super().__init__(isa, memory, devices, cache, memory_path)
        self._shelf.store = _Forgetful()  # type: ignore[assignment]
        self._set_shared("hot", 0)  # samples that are never reached

    def translate(self, page: int, heads: Iterable[int], executed: bytes | None = None) -> list[int]:
        """Install regions with these heads in a page of RAM, by number; the offsets in RAM of those that it took.

        Only a page that was executed takes any, and only if its instructions are still as long as they were then.
        `executed` is what regions are made of instead of what was. Fails if one cannot be compiled.
        """
        made: list[int] = []

        def answered(data: bytes) -> bytes:
            request = decode_request(data)
            reply = compiled(encode(replace(request, executed=executed or request.executed)))
            content = decode_reply(reply)
            assert not content.problem, content.problem
            made.extend(record.head for record in map(decode_record, content.records) if record is not None)
            return reply

        before = self.counts.regions_installed
        with patch.object(engine, "answer", answered):
            self.translate_now(page, list(heads))
        return [page * PAGE + head for head in made] if self.counts.regions_installed > before else []

    def forget(self) -> None:
        """As if nothing had been executed yet."""
        self._library.make_room()

    def translate_some(self, random: Random, pages: Iterable[int], most: int) -> list[int]:
        """Regions with up to `most` random heads in each page, among what was executed."""
        installed = []
        for page in pages:
            offsets = self.executed(page)
            installed += self.translate(page, random.sample(offsets, min(most, len(offsets))))
        return installed


def translator(pair: Pair) -> DirectedTranslator:
    """The native engine of a pair that was made with `DirectedTranslator`."""
    assert isinstance(pair.native.engine, DirectedTranslator)
    return pair.native.engine
