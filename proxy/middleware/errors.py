"""Answers in place of the upstream, where the proxy refuses a request or cannot get its answer."""

from starlette.types import ASGIApp, Receive, Scope, Send

from proxy.errors import ProxyError, send_error


class ErrorMiddleware:
    """Answers with what the stations behind it raise."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            # What the server cannot take for a request goes the way of one, to be logged and answered.
            if (refusal := scope["state"].get("refusal")) is not None:
                raise refusal
            await self.app(scope, receive, send)
        except ProxyError as error:
            await send_error(send, error, scope["raw_path"])
