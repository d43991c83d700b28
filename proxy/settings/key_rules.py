"""The rules of the key and the token: which combinations may start. Pure; no text here shows a secret."""

from pydantic import SecretStr

from proxy.openrouter.api import KEY_MARK
from proxy.settings.addresses import Listen
from proxy.settings.variables import variable

SHORTEST_TOKEN = 16  # characters


def token_faults(key: SecretStr | None, token: SecretStr, key_name: str) -> list[str]:
    """What is wrong with asking callers for ``token``; ``key_name`` is the variable of the key."""
    if key is not None and token.get_secret_value() == key.get_secret_value():
        return [f"is the same as {key_name}, which every caller would then know: take another"]
    if token.get_secret_value().startswith(KEY_MARK):
        return ["looks like an OpenRouter key, and would be taken for a caller's own: take a random text"]
    if len(token.get_secret_value()) < SHORTEST_TOKEN:
        advice = "take a random one, for example from openssl rand -hex 32"
        return [f"is shorter than {SHORTEST_TOKEN} characters, and could be guessed: {advice}"]
    return []


def is_unguarded(token: SecretStr | None, listen: Listen) -> bool:
    """Whether others than this machine's programs could spend what is configured."""
    return token is None and not listen.is_loopback


def unguarded_fault(listen: Listen) -> str:
    """What is wrong then, with the ways out."""
    return (
        f"would be spent by everyone who can reach {listen}: "
        f"listen on this machine only ({variable('listen')}=127.0.0.1:6767; not in a container), "
        f"or ask callers for a token ({variable('access_token')}), "
        f"or say that the network is the guard ({variable('allow_unauthenticated')}=true)"
    )


def unguarded_page_fault(listen: Listen, *, has_key: bool) -> str:
    """What is wrong with a live page that everyone could watch."""
    by_token = f"ask for a token ({variable('access_token')}), " if has_key else ""
    return (
        f"is on, and everyone who can reach {listen} could watch: {by_token}"
        f"say that the network is the guard ({variable('allow_unauthenticated')}=true), or leave it off"
    )


def key_warnings(key: SecretStr) -> list[str]:
    """What is doubtful about ``key``."""
    if key.get_secret_value().startswith(KEY_MARK):
        return []
    return [f"does not look like an OpenRouter key, which begins with {KEY_MARK}"]
