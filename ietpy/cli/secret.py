"""``ietpy secret``: a CHAP secret that nobody can guess (RFC 7143 section 9.2.1)."""

from __future__ import annotations

import secrets

import click


@click.command()
@click.option("--long", "more", is_flag=True, help="22 characters of 128 random bits; not every initiator takes them.")
def secret(more: bool) -> None:
    """Print a new CHAP secret: 16 characters of 96 random bits, the most that Windows takes. Use no secret twice."""
    click.echo(secrets.token_urlsafe(16 if more else 12))
