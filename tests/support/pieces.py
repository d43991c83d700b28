"""The same bytes in other pieces."""

from collections.abc import Iterable


def cut(data: bytes, at: Iterable[int] | None = None) -> list[bytes]:
    """`data` cut before those positions, or into single bytes."""
    inside = sorted({position for position in (range(len(data)) if at is None else at) if 0 < position < len(data)})
    return [data[start:end] for start, end in zip([0, *inside], [*inside, len(data)], strict=True)]
