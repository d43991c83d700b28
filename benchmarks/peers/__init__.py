"""The proxies that are compared, each in a module that says how it is got and configured."""

from benchmarks.peers.asgi import FastapiProxyLib, OpenaiForward
from benchmarks.peers.base import Peer, Place
from benchmarks.peers.caddy import Caddy
from benchmarks.peers.envoy import Envoy
from benchmarks.peers.haproxy import HAProxy
from benchmarks.peers.litellm import LiteLLM
from benchmarks.peers.mitmproxy import Mitmproxy
from benchmarks.peers.nginx import Nginx
from benchmarks.peers.ours import Ours, OursWithLog

__all__ = ["PEERS", "Peer", "Place"]

PEERS: list[type[Peer]] = [
    Ours,
    OursWithLog,
    Caddy,
    Nginx,
    HAProxy,
    Envoy,
    Mitmproxy,
    OpenaiForward,
    FastapiProxyLib,
    LiteLLM,
]
