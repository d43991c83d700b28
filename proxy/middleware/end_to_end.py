"""The station that lets only end-to-end headers cross, in either direction (RFC 9110, 7.6.1)."""

from collections.abc import Awaitable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from proxy.headers import end_to_end_request, end_to_end_response


class EndToEndMiddleware:
    """Cleans the request before anything is stamped onto it, and the upstream's answer before the client sees it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] != "http":
            return self.app(scope, receive, send)

        def send_cleaned(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                message = {**message, "headers": end_to_end_response(message["headers"])}
            return send(message)

        return self.app({**scope, "headers": end_to_end_request(scope["headers"])}, receive, send_cleaned)
