"""httpx's messages made of header lists, at no cost for those who only carry them."""

from typing import Any

import httpx2 as httpx

from proxy.headers import HeaderList


class RawHeaders(httpx.Headers):
    """`httpx.Headers` made of a header list that is not looked at until somebody asks for more than ``raw``.

    httpx's own constructor normalises name after name: with those of a usual request and answer, a tenth of all that a
    relayed request costs.
    """

    def __init__(self, raw: HeaderList) -> None:
        self._given = raw

    @property
    def raw(self) -> HeaderList:
        """The list itself: not to be changed."""
        return self._given

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self._given)} lines)"  # httpx's shows all but Authorization

    def __getattr__(self, name: str) -> Any:
        # Whatever httpx keeps in its object is not there yet.
        if "_given" not in self.__dict__ or "_encoding" in self.__dict__:
            raise AttributeError(name)
        super().__init__(self._given)
        return getattr(self, name)


class RawRequest(httpx.Request):
    """`httpx.Request` made of what is there: httpx's own constructor parses the URL once more, and copies the rest."""

    def __init__(
        self,
        method: str,
        url: httpx.URL,
        headers: HeaderList,
        stream: httpx.AsyncByteStream,
        extensions: dict[str, Any],
    ) -> None:
        self.method = method
        self.url = url
        self.headers = RawHeaders(headers)
        self.stream = stream
        self.extensions = extensions


class RawResponse(httpx.Response):
    """`httpx.Response` made of what is there, for a transport to give: its body is the stream, unread."""

    def __init__(
        self, status_code: int, headers: HeaderList, stream: httpx.AsyncByteStream, extensions: dict[str, Any]
    ) -> None:
        self.status_code = status_code
        self.headers = RawHeaders(headers)
        self.stream = stream
        self.extensions = extensions
        self.history = []
        self.next_request = None
        self.is_closed = False
        self.is_stream_consumed = False
        self.default_encoding = "utf-8"
        self._request = None
        self._num_bytes_downloaded = 0
