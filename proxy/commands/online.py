"""``check --online``: what works of the way to the upstream, as it is tried."""

from contextlib import aclosing

import click

from proxy.commands.terminal import Style
from proxy.settings.model import Settings
from proxy.upstream.probe import probe


async def is_reached(settings: Settings, style: Style) -> bool:
    """Print a line for each step as it is done; whether all of them work."""
    click.echo("\n" + style.heading("Online") + "\n", color=True)
    reached = True
    async with aclosing(probe(settings)) as steps:
        async for step in steps:
            shown = style.good(step.text)
            if step.error is not None:
                reached = False
                reason = f" ({step.error.reason})" if step.error.reason else ""
                shown = style.error(f"{step.text}: {step.error.slug}{reason}") + f". {step.error.text()}"
            click.echo(f"  {style.faint(f'{step.name:<10}')}  {shown}", color=True)
    return reached
