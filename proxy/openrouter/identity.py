"""What OpenRouter accepts as an app's identity, and what it does with it without saying so.

The rules are those of openrouter.ai/docs/app-attribution, and of what has been observed where it is silent. Faults
would lose the attribution, or send it to somebody else; warnings name what probably is not meant. Each is a predicate
that follows the name of the value: ``must be …``, ``holds …``.
"""

import re
import unicodedata
from urllib.parse import quote, urlsplit, urlunsplit

from proxy.faults import IN_QUOTES, at, control_characters, in_quotes, nearest, quoted
from proxy.host_names import in_url, is_loopback, punycode_hint, split_url
from proxy.openrouter.api import KEY_MARK

EXAMPLE_REFERER = "https://github.com/you/your-app"

# The list grows (13, then 15), so an unknown category is never a fault. As of November 2026.
KNOWN_CATEGORIES = (
    *("cli-agent", "ide-extension", "cloud-agent", "programming-app", "native-app-builder"),  # coding
    *("creative-writing", "video-gen", "image-gen", "audio-gen"),  # creative
    *("writing-assistant", "general-chat", "personal-agent", "legal"),  # productivity
    *("roleplay", "game"),  # entertainment
)
MAX_CATEGORIES = 2
MAX_CATEGORY_LENGTH = 30
MAX_TITLE_LENGTH = 200
MAX_REFERER_LENGTH = 2048

# Where each path is somebody's project, so that a path is part of an app's own address.
_SHARED_HOSTS = (
    *("github.com", "gitlab.com", "codeberg.org", "bitbucket.org", "sr.ht", "gitee.com", "huggingface.co"),
    *("github.io", "gitlab.io", "codeberg.page", "npmjs.com", "pypi.org", "crates.io", "marketplace.visualstudio.com"),
    *("chromewebstore.google.com", "apps.apple.com", "play.google.com"),
)
# RFC 3986 has no room for these in a URL; '%' and the reserved characters do belong there.
_NOT_IN_A_URL = '"<>\\^`{|}'
_A_KEY = "looks like an OpenRouter key, and would be published: put the right value here, and revoke the key"
_BARE_HOST = re.compile(r"[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+(?::[0-9]+)?(?:/[A-Za-z0-9._~/-]*)?")


def faults(referer: str, title: str | None, categories: tuple[str, ...], visibility: str | None) -> list[str]:
    """What is wrong with an identity as a whole; each fault names the part that it is about."""
    found = [f"the referer {fault}" for fault in referer_faults(referer)]
    if not found and title is None:
        found += [f"the referer {fault}" for fault in untitled_faults(referer)]
    if title is not None:
        found += [f"the title {fault}" for fault in title_faults(title)]
    found += [f"the list of categories {fault}" for fault in category_faults(categories)]
    if visibility is not None:
        found += [f"the visibility {fault}" for fault in visibility_faults(visibility)]
    return found


def referer_faults(referer: str) -> list[str]:
    """Why ``referer`` cannot be an app's URL. Never shows a user, a password or a key."""
    if not referer.strip():
        return [f"is blank: set the app's URL, for example {EXAMPLE_REFERER}"]
    if KEY_MARK in referer.lower():
        return [_A_KEY]
    if in_quotes(referer):
        return [IN_QUOTES]
    found = at(referer, control_characters(referer), "write the URL on one line, without it")
    found += at(referer, _non_ascii(referer), _ascii_url_hint(referer))
    found += at(referer, " ", "write the URL without blanks")
    found += at(referer, _NOT_IN_A_URL, "it has no place in a URL; write it without")
    # The rest is judged as if those had been mended, so that all faults are told at once.
    mended = "".join(character for character in referer if "!" <= character <= "~")
    if "@" in _netloc(mended):
        found.append("holds a user name or password, which would be published: write the URL without them")
    elif split_url(mended) is None:
        hint = f"write https://{referer}" if _BARE_HOST.fullmatch(referer) else f"for example {EXAMPLE_REFERER}"
        found.append(f"must be a whole URL that starts with https:// or http:// and a valid host; {hint}")
    if "#" in referer:
        found.append('holds a fragment (from "#" on), which is no part of an app\'s address: write the URL without it')
    if len(referer) > MAX_REFERER_LENGTH:
        found.append(f"is longer than {MAX_REFERER_LENGTH} characters: give the app a shorter address")
    return found


def untitled_faults(referer: str) -> list[str]:
    """Why ``referer``, which is valid, needs a title beside it."""
    if not is_loopback(urlsplit(referer).hostname or ""):
        return []
    return ["is on this machine: OpenRouter tracks such an app only with a title; use a public URL, or set a title"]


def referer_warnings(referer: str) -> list[str]:
    """Where ``referer``, which is valid, may not be the app that is meant: to OpenRouter each spelling is another."""
    parts = urlsplit(referer)
    host = parts.hostname or ""
    stored = stored_form(referer)
    found = []
    if stored != referer:
        found.append(f"is stored by OpenRouter with a slash at its end: write {stored}")
    if parts.netloc != parts.netloc.lower():
        found.append(f"has upper case in its host, which may be another app than {parts.netloc.lower()}: write that")
    if parts.scheme == "http" and not is_loopback(host):
        found.append(f"starts with http://, another app than with https:// to OpenRouter; stored as {stored}")
    if host.startswith("www."):
        found.append(f"names {host}, another app than {host.removeprefix('www.')} to OpenRouter; stored as {stored}")
    shared = any(host == known or host.endswith(f".{known}") for known in _SHARED_HOSTS)
    if parts.path.strip("/"):
        if not shared:
            root = f"{parts.scheme}://{parts.netloc}/"
            found.append(f"has a path, so it is another app than {root} to OpenRouter; stored as {stored}")
        if parts.path.endswith("/"):
            found.append(f'ends with "/", another app than without it to OpenRouter; stored as {stored}')
    elif host in _SHARED_HOSTS and not parts.query:
        found.append(f"is the address of {host} itself: add the path of your project, as in {EXAMPLE_REFERER}")
    if parts.query and not shared:
        found.append(f'has a query (from "?" on), another app than without it to OpenRouter; stored as {stored}')
    return found


def placeholder_warnings(referer: str) -> list[str]:
    """Whether ``referer``, which is valid, was copied from an example: ours, or below ``.example`` (RFC 2606, 2)."""
    host = (urlsplit(referer).hostname or "").removesuffix(".")
    if referer.rstrip("/") != EXAMPLE_REFERER and not host.endswith(".example"):
        return []
    return ["is the address of an example, and its app would be credited: write your own app's URL"]


def stored_form(referer: str) -> str:
    """The form in which OpenRouter keeps an app's URL: a bare origin gets a trailing slash, all else stays."""
    parts = urlsplit(referer)
    return referer if parts.path or parts.query else f"{referer}/"


def app_page(referer: str) -> str:
    """The page on which OpenRouter shows what an app has used."""
    return f"https://openrouter.ai/apps?url={quote(stored_form(referer), safe='')}"


def title_faults(title: str) -> list[str]:
    """Why ``title`` cannot be an app's display name."""
    if not title.strip():
        return ["is blank: set the name to be shown, or leave it out"]
    if KEY_MARK in title.lower():
        return [_A_KEY]
    found = at(title, control_characters(title), "write the title on one line, without it")
    found += at(title, _non_ascii(title), f"most HTTP software refuses it in a header; {_ascii_title_hint(title)}")
    if title.startswith(" "):
        found.append("begins with a blank (U+0020 at character 1), which is lost on the way: remove it")
    if title.endswith(" "):
        found.append(f"ends with a blank (U+0020 at character {len(title)}), which is lost on the way: remove it")
    if len(title) > MAX_TITLE_LENGTH:
        found.append(f"has {len(title)} characters: shorten it to {MAX_TITLE_LENGTH}")
    return found


def title_warnings(title: str) -> list[str]:
    """What of ``title``, which is valid, is probably not meant."""
    if in_quotes(title):
        return [f"is sent with the quotes around it: write {title[1:-1]} (docker --env-file keeps quotes)"]
    return []


def category_faults(categories: tuple[str, ...]) -> list[str]:
    """Why OpenRouter would drop some of ``categories``, which it does without an error."""
    found = []
    unique = list(dict.fromkeys(categories))
    for category in unique:
        reasons = []
        if category != category.lower():
            reasons.append("upper case")
        if len(category) > MAX_CATEGORY_LENGTH:
            reasons.append(f"longer than {MAX_CATEGORY_LENGTH} characters")
        if not re.fullmatch(r"[a-z0-9-]+", category.lower()) or not category.isascii():
            reasons.append("other characters than a-z, 0-9 and -")
        if reasons:
            why = ", ".join(reasons)
            found.append(f"holds {quoted(category)}, which would be lost ({why}); {_suggestion(category)}")
    found += [
        f"holds {quoted(category)} {categories.count(category)} times: write it once"
        for category in unique
        if categories.count(category) > 1
    ]
    if lost := unique[MAX_CATEGORIES:]:
        names = ", ".join(map(quoted, lost))
        found.append(
            f"names {len(unique)} categories, but OpenRouter takes {MAX_CATEGORIES}: "
            f"{names} would be lost; keep the {MAX_CATEGORIES} that fit best"
        )
    return found


def category_warnings(categories: tuple[str, ...]) -> list[str]:
    """Which of ``categories``, which are valid, OpenRouter may not know."""
    return [
        f"holds {quoted(category)}, unknown when this version was made: OpenRouter drops unknown ones without an "
        f"error; {_suggestion(category)}"
        for category in categories
        if category not in KNOWN_CATEGORIES
    ]


def visibility_faults(visibility: str) -> list[str]:
    """Why ``visibility`` is not one that a header can set."""
    return [] if visibility == "hidden" else [f'must be "hidden" or unset, not {quoted(visibility)}']


def _suggestion(category: str) -> str:
    hyphenated = re.sub(r"[^a-z0-9]+", "-", category.lower()).strip("-")
    if near := nearest(hyphenated, KNOWN_CATEGORIES):
        return f"did you mean {near}?"
    return f"known are {', '.join(KNOWN_CATEGORIES)}"


def _non_ascii(value: str) -> list[str]:
    return [character for character in value if character > "\x7f"]


def _ascii_title_hint(title: str) -> str:
    """How to write a title with non-ASCII characters: without its accents, if that leaves ASCII."""
    bare = "".join(c for c in unicodedata.normalize("NFKD", title) if not unicodedata.combining(c))
    return f"write {bare}" if bare.isascii() and bare.isprintable() else "write printable ASCII"


def _netloc(url: str) -> str:
    try:
        return urlsplit(url).netloc
    except ValueError:
        # Not a URL, but what it holds may be a password all the same.
        return url


def _ascii_url_hint(url: str) -> str:
    """How to write a URL with non-ASCII characters: the host in punycode, the rest percent-encoded as UTF-8."""
    advice = "write the host in punycode (xn--...), and the rest percent-encoded"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return advice
    ascii_host = host if host is None or host.isascii() else punycode_hint(host)
    if not ascii_host or "@" in parts.netloc or any(map(str.isspace, url)):
        return advice
    try:
        path, query = quote(parts.path, safe="/%:@!$&'()*+,;=~"), quote(parts.query, safe="/%:@!$&'()*+,;=~?")
    except UnicodeEncodeError:  # a byte that is not UTF-8
        return advice
    netloc = in_url(ascii_host) + (f":{port}" if port is not None else "")
    return f"write {urlunsplit((parts.scheme, netloc, path, query, ''))}"
