"""What it costs to choose a profile: CPU time of the rule, in microseconds a request, beside the one without profiles.

``python -m benchmarks.profiles [PROFILES]``. Needs no network; takes the best of several runs, as `timeit` advises.
"""

import secrets
import sys
import time
import timeit
from collections.abc import MutableMapping
from typing import Any

from proxy.middleware.profile import Profile, Profiles, choose_profile, refuse_stray_tokens, use
from proxy.middleware.rules import Rule
from proxy.observe.record import Record
from proxy.settings.profiles import settings_with

_APP = {"http_referer": "https://app.test/"}
_CALLS, _RUNS = 20_000, 15
_OWN_KEY = b"sk-or-v1-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"


def scope(path: bytes, credential: bytes = _OWN_KEY) -> dict[str, Any]:
    """A request as an SDK sends it."""
    headers = [
        *((b"host", b"localhost:6767"), (b"user-agent", b"OpenAI/Python 2.0"), (b"accept", b"application/json")),
        *((b"content-type", b"application/json"), (b"accept-encoding", b"gzip"), (b"x-stainless-lang", b"python")),
        *((b"authorization", b"Bearer " + credential), (b"content-length", b"86"), (b"connection", b"keep-alive")),
    ]
    return {
        "type": "http",
        "method": "POST",
        "raw_path": path,
        "query_string": b"",
        "headers": headers,
        "record": Record("POST", "/"),
    }


def microseconds(rule: Rule, request: dict[str, Any]) -> float:
    """CPU time of one call, at best, and of a copy of the request for it."""
    runs = timeit.repeat(lambda: rule({**request}), timer=time.process_time, number=_CALLS, repeat=_RUNS)
    return min(runs) / _CALLS * 1e6


def all_of(profiles: Profiles) -> Rule:
    """All that is done for profiles; what is put on as credentials between the two counts for none of them."""
    choose, refuse = choose_profile(profiles), refuse_stray_tokens(profiles)
    leaving = [line for line in scope(b"/")["headers"] if line[0] != b"authorization"]

    def ruled(request: MutableMapping[str, Any]) -> None:
        choose(request)
        request["headers"] = leaving
        refuse(request)

    return ruled


def main(count: int) -> None:
    """Print a line for each way to choose."""
    urls = {f"team-{n}": {"http_referer": f"https://team-{n}.test/"} for n in range(count)}
    keys = {name: {"api_key": f"sk-or-{name}", "access_token": secrets.token_hex(32)} for name in urls}
    without = use(Profile.of(settings_with(_APP, {})))
    by_url = all_of(Profiles(settings_with(_APP, urls)))
    by_both = all_of(Profiles(settings_with(_APP, {name: {**urls[name], **keys[name]} for name in urls})))
    name, path = f"team-{count // 2}", b"/api/v1/chat/completions"
    token = keys[name]["access_token"].encode()
    base = microseconds(without, scope(path))
    rows = {
        "by URL": microseconds(by_url, scope(b"/" + name.encode() + path)),
        "by URL, with its token": microseconds(by_both, scope(b"/" + name.encode() + path, token)),
        "by token": microseconds(by_both, scope(path, token)),
        "the default, among them": microseconds(by_both, scope(path)),
    }
    sys.stdout.write(f"{count} profiles, microseconds more than the {base:.2f} without:\n")
    for title, found in rows.items():
        sys.stdout.write(f"  {title:<24} {found - base:5.2f}\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
