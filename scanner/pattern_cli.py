"""``sekisho pattern``: build, try, count and explain pattern sets."""

from collections import Counter
from pathlib import Path

import click

from contracts.scan import Verdict
from patterns import pattern_set, rule_source
from patterns.rule_language import Behaviour, KnownList, Rule
from runtime.errors import NotFoundError, RefusedError
from scanner import pattern_trial
from scanner.isolation import scan_file
from scanner.many import files_in
from scanner.open_patterns import patterns_in

SOURCE = click.argument(
    "source", type=click.Path(path_type=Path), default=pattern_set.SHIPPED, required=False
)
GOOD_FOLDER = "good"


@click.group()
def pattern() -> None:
    """Work with malware patterns."""


@pattern.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--version", help="Dotted numbers, for example 2026.11.21. Default: file VERSION.")
@click.option(
    "--good",
    multiple=True,
    type=click.Path(path_type=Path, exists=True),
    help="Known-good app, or folder of such: no rule may call it suspicious. Those in SOURCE/good"
    " are always tried.",
)
def build(source: Path, out: Path, version: str | None, good: tuple[Path, ...]) -> None:
    """Check the rules in folder SOURCE and write them as one pattern set into file OUT.

    A rule that is slow, or that hits something known to be good, is refused. All problems are told
    at once.
    """
    manifest, tried = build_checked(source, out, version, good)
    click.echo(f"{out}: version {manifest.version}, {manifest.rules} rules; {tried} files tried.")


def build_checked(
    source: Path, out: Path, version: str | None, good: tuple[Path, ...]
) -> tuple[pattern_set.Manifest, int]:
    """Build, try the set, and keep it only when nothing is wrong; return how many files it saw."""
    unfinished = out.with_name(f".{out.name}.trial")
    files = [*files_in((*good, *_good_in(source)))]
    try:
        manifest = pattern_set.build(
            source, unfinished, version or pattern_set.source_version(source)
        )
        problems = [*pattern_trial.problems_of(pattern_trial.costs(_yara_texts(source)))]
        with patterns_in(unfinished) as unpacked:
            problems += pattern_trial.good_files_hit(unpacked, files)
        if problems:
            raise RefusedError("\n".join(problems))
        unfinished.replace(out)
    finally:
        unfinished.unlink(missing_ok=True)
    return manifest, len(files)


@pattern.command("test")
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("samples", type=click.Path(path_type=Path, exists=True), required=False)
@click.option(
    "--hit", "hits", multiple=True, nargs=2, metavar="RULE FILE", help="RULE must match FILE."
)
@click.option(
    "--miss", "misses", multiple=True, metavar="FILE", help="Nothing grave may match FILE."
)
def test_patterns(
    source: Path, samples: Path | None, hits: tuple[tuple[str, str], ...], misses: tuple[str, ...]
) -> None:
    """Try the rules in folder SOURCE on files.

    Folder SAMPLES holds a folder for each rule, named as it is: RULE/hit with files that it must
    find, RULE/miss with near misses that it must leave alone.
    """
    if samples is not None and not samples.is_dir():
        raise click.UsageError(f"'{samples}' is no folder of samples.")
    wanted = [(rule, Path(file), True) for rule, file in hits]
    wanted += _samples(samples) if samples else []
    with patterns_in(source) as folder:
        rules = pattern_set.read_manifest(folder).rules
        wrong = [text for rule, file, hit in wanted if (text := _wrong(rule, file, hit, folder))]
        wrong += [text for file in misses if (text := _grave(Path(file), folder))]
    if wrong:
        raise RefusedError("\n".join(wrong))
    tried = len(wanted) + len(misses)
    click.echo(f"{rules} rules are in order; {tried} files were tried.")


@pattern.command()
@SOURCE
@click.option("--costs", is_flag=True, help="Measure what each YARA rule costs, slowest first.")
def stats(source: Path, costs: bool) -> None:
    """Count the rules in folder SOURCE (default: the shipped ones)."""
    checked = rule_source.read_source(source)
    click.echo(f"{len(checked.rules)} rules, version {pattern_set.source_version(source)}")
    kinds = Counter(_kind(rule) for rule in checked.rules)
    click.echo("by kind: " + ", ".join(f"{k} {v}" for k, v in kinds.most_common()))
    for name in ("severity", "confidence", "category", "technique"):
        counted = Counter(getattr(rule, name) or "none" for rule in checked.rules)
        click.echo(f"by {name}: " + ", ".join(f"{k} {v}" for k, v in counted.most_common()))
    signers = checked.signers
    click.echo(f"{len(signers.official)} publishers and {len(signers.public_key)} public keys")
    if costs:
        measured = pattern_trial.costs(_yara_texts(source))
        for cost in sorted(measured, key=lambda cost: -cost.ratio):
            click.echo(f"{cost.microseconds:>8,.0f} µs/MB {cost.ratio:>5.2f}  {cost.rule}")


@pattern.command()
@click.argument("rule_id", metavar="RULE")
@SOURCE
def show(rule_id: str, source: Path) -> None:
    """Explain RULE."""
    for rule in rule_source.read_source(source).rules:
        if rule.id == rule_id:
            click.echo(f"{rule.id}: {rule.title}")
            about = (
                *(rule.severity, f"{rule.confidence} confidence", rule.category),
                *(rule.family, rule.technique, rule.reference),
            )
            click.echo(", ".join(word for word in about if word))
            click.echo(f"What it means: {rule.meaning}")
            click.echo(f"Why it is not usual: {rule.why}")
            return
    raise NotFoundError(f"There is no rule {rule_id}; `sekisho pattern stats` counts them.")


def _wrong(rule: str, file: Path, hit: bool, folder: Path) -> str:
    """Return what is wrong when *rule* must hit *file*, or must not; empty: nothing."""
    result = scan_file(file, folder)
    if (rule in {finding.rule for finding in result.findings}) == hit:
        return ""
    skipped = f" Skipped: {'; '.join(result.skipped)}" if hit and result.skipped else ""
    return f"{rule} {'does not match' if hit else 'matches the near miss'} {file}.{skipped}"


def _grave(file: Path, folder: Path) -> str:
    result = scan_file(file, folder)
    if result.verdict not in (Verdict.SUSPICIOUS, Verdict.MALICIOUS):
        return ""
    return f"{file} is {result.verdict}: {result.findings[0].rule}."


def _samples(folder: Path) -> list[tuple[str, Path, bool]]:
    return [
        (rule.name, file, hit)
        for rule in sorted(one for one in folder.iterdir() if one.is_dir())
        for kind, hit in (("hit", True), ("miss", False))
        for file in files_in([rule / kind] if (rule / kind).is_dir() else [])
    ]


def _good_in(source: Path) -> list[Path]:
    folder = source / GOOD_FOLDER
    return [folder] if folder.is_dir() else []


def _yara_texts(source: Path) -> list[str]:
    files = rule_source.read_source(source).files
    return [body.decode() for name, body in sorted(files.items()) if name.endswith(".yar")]


def _kind(rule: Rule) -> str:
    if isinstance(rule, Behaviour):
        return "code" if rule.code else "behaviour"
    return f"{rule.kind} list" if isinstance(rule, KnownList) else "yara"
