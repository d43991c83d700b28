"""The proxies that are compared, each in a module that says how it is got and configured."""

from benchmarks.peers.asgi import FastapiProxyLib, OpenaiForward
from benchmarks.peers.base import Peer, Place
from benchmarks.peers.caddy import Caddy, CaddyTwice, CaddyWithLog
from benchmarks.peers.envoy import Envoy, EnvoyWithLog
from benchmarks.peers.haproxy import HAProxy, HAProxyWithLog
from benchmarks.peers.litellm import LiteLLM
from benchmarks.peers.mitmproxy import Mitmproxy
from benchmarks.peers.nginx import Nginx, NginxTwice, NginxWithLog
from benchmarks.peers.ours import Ours, OursTwice, OursWithLog

__all__ = ["PEERS", "Peer", "Place"]

PEERS: list[type[Peer]] = [
    Ours,
    OursWithLog,
    OursTwice,
    Caddy,
    CaddyWithLog,
    CaddyTwice,
    Nginx,
    NginxWithLog,
    NginxTwice,
    HAProxy,
    HAProxyWithLog,
    Envoy,
    EnvoyWithLog,
    Mitmproxy,
    OpenaiForward,
    FastapiProxyLib,
    LiteLLM,
]
