"""Promise 5: what tells about the user's machines and other programs is not passed on."""

import pytest

from tests.support.client import get
from tests.support.fixtures import Connect, Through
from tests.support.http1 import message
from tests.support.proxies import STAMP
from tests.support.upstream import reply

OURS = [(name.lower(), value) for name, value in STAMP]


@pytest.mark.parametrize(
    "lines",
    [
        ["Forwarded: for=192.0.2.1;proto=http"],
        ["X-Forwarded-For: 192.0.2.1", "x-forwarded-for: 192.0.2.2"],
        ["X-Forwarded-Host: private.example", "X-Forwarded-Proto: http", "X-Forwarded-Port: 80"],
        ["X-Forwarded-Server: a", "X-Forwarded-Prefix: /b", "X-Forwarded-Anything: c"],
        ["X-Real-IP: 192.0.2.1"],
        ["Via: 1.1 private.example"],
        ["CF-Connecting-IP: 192.0.2.1"],
        ["True-Client-IP: 192.0.2.1"],
        *(
            [f"{name}: 192.0.2.1"]
            for name in (
                *("X-Forwarded", "X-Client-IP", "Client-IP", "X-Cluster-Client-IP", "X-Remote-IP", "X-Remote-Addr"),
                *("X-Original-Forwarded-For", "X-Originating-IP", "X-ProxyUser-Ip", "Proxy-Client-IP"),
                *("CF-Connecting-IPv6", "CF-Pseudo-IPv4", "Fastly-Client-IP", "Fly-Client-IP", "DO-Connecting-IP"),
                *("X-NF-Client-Connection-IP", "X-Azure-ClientIP", "X-Azure-SocketIP", "X-AppEngine-User-IP"),
                *("X-Vercel-Forwarded-For", "X-Envoy-External-Address", "WL-Proxy-Client-IP", "x_client_ip"),
            )
        ),
        ["Cookie: session=of-another-program"],
        ["cookie: a=1", "COOKIE: b=2"],
        ["cookie:"],
        ["X_Forwarded_For: 192.0.2.1", "x_real_ip: 192.0.2.1", "CF_Connecting_IP: 192.0.2.1"],
    ],
)
async def test_not_passed_on(through: Through, lines: list[str]) -> None:
    """Promise 5: none of these reaches U, in any case, and none is added."""
    client, upstream, _ = await through()
    assert (await client.ask(get("X-Before: 1", *lines, "X-After: 2"))).status == 200
    assert upstream.requests[0].fields == [
        (b"host", upstream.authority),
        (b"x-before", b"1"),
        (b"x-after", b"2"),
        *OURS,
    ]


async def test_no_cookie_is_remembered(through: Through, connect: Connect) -> None:
    """Promise 5: a cookie that U sets is seen by nobody, and comes back to U from nobody."""
    answer = message(
        "HTTP/1.1 200 OK", "Set-Cookie: __cf_bm=1; Domain=127.0.0.1; Path=/", "Content-Length: 2", body=b"ok"
    )
    client, upstream, proxy = await through(reply(answer))
    other = await connect(proxy)
    for each in (client, client, other):
        assert not (await each.ask(get())).values("set-cookie")
    assert len(upstream.requests) == 3
    assert not any(request.values("cookie") for request in upstream.requests)
