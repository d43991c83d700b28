"""What counting costs a request: ``python -m benchmarks.observers`` (bars: metrics 3 µs, the live page unseen 1 µs).

The live page costs those more who claim an app: their lines are kept for it.
"""

import time

import click

from proxy.middleware.attribution import claimed
from proxy.observe.feed import Feed
from proxy.observe.metrics import Metrics
from proxy.observe.record import Observer, Record

_REQUESTS = 100_000
_ROUNDS = 5


def cost(observer: Observer | None) -> float:
    """Microseconds for each request, the record itself left out: the least of several rounds."""
    rounds = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        for _ in range(_REQUESTS):
            record = Record("POST", "/api/v1/chat/completions")
            record.status, record.attribution = 200, "stamped"
            record.first_byte_at = record.ended_at = record.started_at + 0.5
            if observer is not None:
                observer.ended([record])
        rounds.append((time.perf_counter() - began) / _REQUESTS * 1e6)
    return min(rounds)


def cost_of_a_claim() -> float:
    """Microseconds for each request of a tool that names its app, with as many headers as the OpenAI SDK sends."""
    headers = [(b"x-stainless-%d" % n, b"value") for n in range(12)]
    headers += [(b"http-referer", b"https://tool.example"), (b"x-title", b"Tool")]
    rounds = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        for _ in range(_REQUESTS):
            tuple(claimed(headers))
        rounds.append((time.perf_counter() - began) / _REQUESTS * 1e6)
    return min(rounds)


def main() -> None:
    """Print the figures."""
    nothing = cost(None)
    feed, watched = Feed({}), Feed({})
    with watched.viewer():
        figures = {
            "metrics": cost(Metrics("0")),
            "metrics of workers": cost(Metrics("0", workers=2)),
            "live page, unseen": cost(feed),
            "with a stalled viewer": cost(watched),
        }
    for name, figure in figures.items():
        click.echo(f"{name:22} {figure - nothing:5.2f} µs a request")
    click.echo(f"{'and if it claims':22} {cost_of_a_claim():5.2f} µs a request")


if __name__ == "__main__":
    main()
