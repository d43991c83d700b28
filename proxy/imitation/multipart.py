"""The parts of a ``multipart/form-data`` body (RFC 7578), bytes untouched."""

from dataclasses import dataclass
from email.message import Message


@dataclass(frozen=True)
class Part:
    """One field: its name, the file's name if it is a file, and the bytes."""

    name: str
    filename: str | None
    content_type: str
    content: bytes


def parts(content_type: str, body: bytes) -> list[Part]:
    """All parts, in order. Raises `ValueError` if ``content_type`` names no boundary or a delimiter is missing."""
    header = Message()
    header["content-type"] = content_type
    boundary = header.get_boundary()
    if header.get_content_type() != "multipart/form-data" or not boundary:
        raise ValueError("not multipart/form-data with a boundary")
    # RFC 2046, 5.1.1: the line break before a delimiter belongs to the delimiter.
    _, *fields, closing = (b"\r\n" + body).split(b"\r\n--" + boundary.encode("latin-1"))
    if not closing.startswith(b"--"):
        raise ValueError("no closing delimiter")
    return [_part(field) for field in fields]


def _part(field: bytes) -> Part:
    head, separator, content = field.removeprefix(b"\r\n").partition(b"\r\n\r\n")
    if not separator:
        raise ValueError("a part without an end of its header lines")
    header = Message()
    for line in head.decode("utf-8", "replace").split("\r\n"):
        key, _, value = line.partition(":")
        header[key.strip()] = value.strip()
    name = str(header.get_param("name", "", "content-disposition"))
    return Part(name, header.get_filename(), header.get_content_type(), content)
