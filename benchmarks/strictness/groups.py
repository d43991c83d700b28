"""The rows by what they are about, and why this proxy does with them what it does."""

import re
from typing import NamedTuple

from benchmarks.strictness.rows import AnswerRow, RequestRow


class Group(NamedTuple):
    """Rows of some families whose name matches."""

    title: str
    reason: str
    families: str
    names: str = ""


_REQUESTS = "requests|bodies that look like requests"

# The first one that matches is a row's group.
GROUPS = [
    Group(
        "`CONNECT` and `TRACE`",
        "OpenRouter needs neither. A `CONNECT` is a tunnel, and `TRACE` echoes keys (RFC 9110, 9.3.8). Behind a refused "
        "`CONNECT` nothing is read: those bytes may have been for the tunnel.",
        _REQUESTS,
        "CONNECT|TRACE|a method of ours",
    ),
    Group(
        "Folded lines",
        "Obsolete (RFC 9112, 5.2). Whoever unfolds one changes the value, and two readers may disagree about whose it is.",
        _REQUESTS,
        "fold|a name in two|a blank line for an end",
    ),
    Group(
        "Line ends and blanks that are not HTTP's",
        "A server may take a bare LF for a line end (RFC 9112, 2.2), and another need not: between the two, a header "
        "appears or goes. The same holds for CR, and for other blanks in the request line.",
        _REQUESTS,
        r"\bLFs?\b|\bCRs?\b|two blanks|tab for a blank|vertical tab|blanks? behind the version|blank before\Z|NUL before"
        "|only a line end|a blank and no",
    ),
    Group(
        "Empty lines before a request",
        "To be skipped (RFC 9112, 2.2): old clients send them behind a body.",
        _REQUESTS,
        "empty lines?",
    ),
    Group(
        "Bytes that may not stand in a header's name",
        "nginx drops such a line without a word, so its user never learns why a header does not arrive.",
        _REQUESTS,
        r"byte .* in a name|corrupted|colon|every token byte|no name",
    ),
    Group(
        "Control bytes in a header's value",
        "Servers behind cut values there, or end lines (RFC 9110, 5.5).",
        _REQUESTS,
        "byte .* in a value|NUL|high bytes",
    ),
    Group(
        "Versions that are not 1.0 or 1.1",
        "What such a message means is not known.",
        _REQUESTS,
        r"HTTP/(?!1\.0)|IHTTP|http/1|HTP|version|^ICE|RTSP|HTTP/2|TLS|SSH|SMTP",
    ),
    Group(
        "Methods that are not registered, or in lower case",
        "llhttp reads those of HTTP, WebDAV and a few more, and none else: a misspelt one is told here, not at OpenRouter.",
        _REQUESTS,
        "not of HTTP|method|ANNOUNCE|M-SEARCH|QUERY|PURGE|PROPFIND|REPORT",
    ),
    Group(
        "Targets: bytes beyond ASCII, fragments, quotes, user names, other forms",
        "A target is checked, and then crosses as it is: it is never rewritten, and so never becomes another one.",
        _REQUESTS,
        "target|fragment|absolute-form|-form",
    ),
    Group(
        "`Host`: none, two, or no host's name",
        "It is what web pages cannot forge, so it has to be there, once, and valid (RFC 9112, 3.2).",
        _REQUESTS,
        r"\bHosts?\b(?<!HTTP/1\.0 with Host)",
    ),
    Group(
        "HTTP/1.0",
        "Served, one request for each connection. Chunks in HTTP/1.0 are faulty framing (RFC 9112, 6.1).",
        _REQUESTS,
        r"HTTP/1\.0",
    ),
    Group(
        "Expectations",
        "Only `100-continue` is known, so any other is 417 (RFC 9110, 10.1.1). The same one twice says the same.",
        _REQUESTS,
        r"expectation|0\.CL",
    ),
    Group(
        "Upgrades and methods that some take for tunnels",
        "The request is served as if it had not asked (RFC 9110, 7.8).",
        _REQUESTS,
        "upgrade",
    ),
    Group(
        "Sizes",
        "128 fields and 64 KiB of headers pass, and no more. The others' limits are lower, or, for the fields, higher.",
        _REQUESTS,
        "fields|many headers",
    ),
    Group(
        "Chunks of a request",
        "Blanks around a size, extensions without a name, endless ones, folded trailers: each is a place where two "
        "readers have disagreed about where a body ends.",
        _REQUESTS,
        "chunk|size|extension|trailer|quote|words",
    ),
    Group(
        "Lengths and blanks of a request",
        "Blanks, tabs too, may stand around a value (RFC 9110, 5.5). A length stated twice is refused, even if both agree.",
        _REQUESTS,
        "length|many blanks|Connection",
    ),
    Group("Other requests", "", _REQUESTS),
    Group(
        "Smuggling: lines that are nearly `Transfer-Encoding: chunked`",
        "Exactly `chunked`, in any case, or 400 or 501. Who passes on a line that it does not understand leaves it to the "
        "next server to find a second request.",
        "smuggling",
        r"^(?:CL\.TE|TE\.TE|TE) as",
    ),
    Group(
        "Smuggling: lines that are nearly a `Content-Length`",
        "One number in digits, at most 18 of them.",
        "smuggling",
        r"^(?:CL\.CL|CL) as",
    ),
    Group(
        "Smuggling: chunks that end elsewhere for others",
        "RFC 9112, 7.1 to the letter, without the blanks that it calls bad.",
        "smuggling",
        "^chunks:",
    ),
    Group(
        "Smuggling: two framings at once",
        "RFC 9112, 6.1 lets a server go by the chunks, or refuse. Who goes by the chunks relies on everybody in front "
        "doing so. Names with `_` count as the ones with `-`: some servers behind a gateway cannot tell them apart.",
        "smuggling",
    ),
    Group(
        "Status lines",
        "nginx takes what has no status line for an answer of HTTP/0.9, and hands it on as it is.",
        "status lines",
    ),
    Group(
        "Header lines of an answer",
        "Never repaired: whoever reads a line in another way reads another answer.",
        "header lines",
    ),
    Group("Ends of an answer's head", "CRLF CRLF; as for requests.", "ends of a head"),
    Group(
        "Transfer codings of an answer",
        "Exactly `chunked`, and no length beside it: one of them would be a lie. nginx ignores codings that it does not "
        "know, and takes the rest of the connection for the body.",
        "transfer codings",
    ),
    Group("Lengths of an answer", "One number, stated once.", "lengths"),
    Group(
        "Chunks of an answer",
        "What comes behind a chunk that is none cannot be trusted: the tool sees a cut.",
        "bad chunks",
    ),
    Group(
        "Answers that are sound, if odd", "A trailer that looks like framing is dropped.", "sound chunks|sound answers"
    ),
    Group(
        "Answers that are cut",
        "A cut is a cut: a clean end would make half an answer a whole one.",
        "cut answers",
    ),
]


def group_of(row: RequestRow | AnswerRow) -> Group:
    """The group that a row belongs to."""
    return next(
        group for group in GROUPS if re.fullmatch(group.families, row.family) and re.search(group.names, row.name)
    )
