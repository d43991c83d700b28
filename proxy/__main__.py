"""``python -m proxy`` is ``openrouter-proxy``."""

from proxy.cli import main

main()
