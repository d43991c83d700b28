"""A local reverse proxy that stamps OpenRouter attribution headers on every request.

`loading` finds the values of the `settings` once, `server` runs the application that `app` puts together, and a
request walks through it in one line, each station a module of that name: `observe` keeps its record, `errors` answers
with what goes wrong, `guard` refuses what must not come in (and `cross_origin` and `management` what must not where the
proxy has a key), `end_to_end` lets only end-to-end headers cross, `credentials` decides whose key travels,
`attribution` stamps the request, and `forwarder` relays it and its answer over the transport in `upstream`. `cli` and
`tools` are the commands.
"""

__version__ = "0.1.0"
