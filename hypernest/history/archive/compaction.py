"""Deleting: the snapshots that stay are copied into a new file, with the pages they have.

A frame all of whose pages stay is copied as it is. Of the others, the pages that stay are compared with their digests
and compressed anew.
"""

from __future__ import annotations

from collections.abc import Sequence

from hypernest.history.archive.blocks import BLOCK
from hypernest.history.archive.format import ArchiveFile, Segment, runs_of
from hypernest.history.archive.reading import Pages, Piece
from hypernest.history.archive.writing import Appender, Description, extend


def copy_without(file: ArchiveFile, segments: Sequence[Segment], gone: set[int], new: ArchiveFile) -> None:
    """Append all snapshots but those whose numbers are `gone` to the archive `new`, which has none yet.

    Those made from one that is gone are from then on made from that one's parent. Raises OSError.
    """
    pages = Pages(file, segments)
    parents = {segments[number].commit.name: segments[number].commit.parent for number in gone}
    staying = [segment for number, segment in enumerate(segments) if number not in gone]
    maps = [
        {
            name: (stream.size, runs_of(file, stream, segment.end_page))
            for name, stream in segment.commit.streams.items()
        }
        for segment in staying
    ]
    wanted = bytearray(segments[-1].end_page)
    for streams in maps:
        for _, runs in streams.values():
            for _, page, count in runs:
                wanted[page : page + count] = b"\1" * count
    known: dict[bytes, int] = {}
    next_page = 0
    for segment, streams in zip(staying, maps, strict=True):
        with Appender(new, known, next_page) as appender:
            for pieces in pages.by_frame([run for _, runs in streams.values() for run in runs]):
                _copy_frame(pages, pieces, wanted, known, appender)
            for name, (size, runs) in streams.items():
                appender.add_map(name, size, _renumbered(pages, runs, known))
            commit = segment.commit
            parent = commit.parent
            for _ in parents:
                parent = parents.get(parent, parent) if parent is not None else None
            appender.commit(Description(commit.name, commit.created, parent, commit.about))
            next_page = appender.next_page


def _copy_frame(
    pages: Pages, pieces: list[Piece], wanted: bytearray, known: dict[bytes, int], appender: Appender
) -> None:
    """Have the pages of these pieces, which are all of one frame, in the new archive."""
    number, index = pieces[0].segment, pieces[0].frame
    segment = pages.segments[number]
    first, end = segment.first_pages[index : index + 2]
    sums = pages.digests(number)[first - segment.first_page : end - segment.first_page]
    if all(wanted[first:end]) and known.keys().isdisjoint(sums):
        appender.add_frame(pages.file.compressed(segment, index), sums)
        return
    missing = [piece for piece in pieces if not all(sum_ in known for sum_ in pages.sums(piece))]
    if missing:
        for piece, data in zip(missing, pages.read(missing), strict=True):
            for at, sum_ in enumerate(pages.sums(piece)):
                appender.add_page(data[at * BLOCK : at * BLOCK + BLOCK], sum_)


def _renumbered(pages: Pages, runs: Sequence[tuple[int, int, int]], known: dict[bytes, int]) -> list[list[int]]:
    """The runs of a map with the pages' new numbers."""
    new: list[list[int]] = []
    for piece in pages.pieces(runs):
        for block, sum_ in enumerate(pages.sums(piece), piece.block):
            extend(new, block, known[sum_])
    return new
