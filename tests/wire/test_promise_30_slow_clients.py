"""Promise 30: slow clients cost the others nothing."""

import pytest

from tests.conftest import Connect, Through
from tests.support.client import get, post


@pytest.mark.parametrize("half", [b"", b"G", get()[:-2], post(body=b"{}")[:-1]])
async def test_others_are_served_meanwhile(through: Through, connect: Connect, half: bytes) -> None:
    """Promise 30: a client that sends nothing, or half a request, keeps nobody waiting."""
    slow, _, proxy = await through()
    await slow.send(half)
    for _ in range(3):
        assert (await (await connect(proxy)).ask(get())).status == 200
