"""Runs the rules of `proxy.app` on each request that is for the upstream, and on the head of its answer.

A rule is a function without I/O. It changes the request's scope, of which the rules have one copy for themselves, or
raises what the request is answered with instead. So a request walks one straight line, and what may not pass is refused
before anything waits.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from proxy.headers import HeaderList

Rule = Callable[[Scope], None]
"""What becomes of a request: changes its scope, or not. Raises `proxy.errors.ProxyError` or `proxy.errors.Answered`."""

AnswerRule = Callable[[HeaderList, Scope], HeaderList]
"""What becomes of the headers of the upstream's answer; the scope is the request's, as the rules have left it."""


class RulesMiddleware:
    """Sends what is for one of ``pages`` on, by that page's rules; and all else through ``rules`` to ``forward``."""

    def __init__(
        self,
        app: ASGIApp,
        rules: Sequence[Rule],
        answer_rules: Sequence[AnswerRule],
        forward: ASGIApp,
        pages: Mapping[str, Sequence[Rule]],
    ) -> None:
        self.app = app
        self.rules = tuple(rules)
        self.answer_rules = tuple(answer_rules)
        self.forward = forward
        self.pages = dict(pages)

    # No coroutine of its own: whoever waits resumes through one frame less, for each piece of each stream.
    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] != "http":
            return self.app(scope, receive, send)
        scope = {**scope}  # whoever has called us sees its own (ASGI, "Middleware")
        if (page_rules := self.pages.get(scope["path"])) is not None:
            for rule in page_rules:
                rule(scope)
            return self.app(scope, receive, send)
        for rule in self.rules:
            rule(scope)

        def send_ruled(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                headers = message["headers"]
                for rule in self.answer_rules:
                    headers = rule(headers, scope)
                message = {**message, "headers": headers}
            return send(message)

        return self.forward(scope, receive, send_ruled)
