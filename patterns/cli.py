"""``sekisho pattern``: build, count and show pattern sets. The scanner adds ``test``."""

from collections import Counter
from pathlib import Path

import click

from patterns import pattern_set, rule_source
from runtime.errors import NotFoundError

SOURCE = click.argument(
    "source", type=click.Path(path_type=Path), default=pattern_set.SHIPPED, required=False
)


@click.group()
def pattern() -> None:
    """Work with malware patterns."""


@pattern.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--version", help="Dotted numbers, for example 2026.11.21. Default: file VERSION.")
def build(source: Path, out: Path, version: str | None) -> None:
    """Check the rules in folder SOURCE and write them as one pattern set into file OUT."""
    manifest = pattern_set.build(source, out, version or pattern_set.source_version(source))
    click.echo(f"{out}: version {manifest.version}, {manifest.rules} rules.")


@pattern.command()
@SOURCE
def stats(source: Path) -> None:
    """Count the rules in folder SOURCE (default: the shipped ones)."""
    checked = rule_source.read_source(source)
    click.echo(f"{len(checked.rules)} rules, version {pattern_set.source_version(source)}")
    for name in ("severity", "category"):
        counted = Counter(getattr(rule, name) for rule in checked.rules)
        click.echo(f"by {name}: " + ", ".join(f"{k} {v}" for k, v in counted.most_common()))
    signers = checked.signers
    click.echo(f"{len(signers.official)} publishers and {len(signers.public_key)} public keys")


@pattern.command()
@click.argument("rule_id", metavar="RULE")
@SOURCE
def show(rule_id: str, source: Path) -> None:
    """Explain RULE."""
    for rule in rule_source.read_source(source).rules:
        if rule.id == rule_id:
            click.echo(f"{rule.id}: {rule.title}")
            about = (rule.severity, rule.category, rule.family, rule.technique)
            click.echo(", ".join(word for word in about if word))
            click.echo(f"What it means: {rule.meaning}")
            click.echo(f"Why it is not usual: {rule.why}")
            return
    raise NotFoundError(f"There is no rule {rule_id}; `sekisho pattern stats` counts them.")
