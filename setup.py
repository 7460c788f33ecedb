"""Packages Sekisho. What it needs is in requirements/run.in, locked with hashes in run.lock."""

from pathlib import Path

from setuptools import find_packages, setup

PARTS = [
    "sekisho",
    "management",
    "communication",
    "exchange_connector",
    "scanner",
    "updater",
    "patterns",
    "contracts",
    "runtime",
    "agents",
]

setup(
    name="sekisho",
    version="0.1.0",
    description="Mobile threat protection server",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=find_packages(include=[*PARTS, *(f"{part}.*" for part in PARTS)]),
    package_data={
        "management": [
            "templates/**/*",
            "static/*",
            "static/vendor/**/*",
            "migrations/*",
            "translations/**/*",
        ],
        "patterns": ["base/*", "base/**/*"],
    },
    install_requires=Path("requirements/run.in").read_text(encoding="utf-8").split(),
    # Built with gcc and libkrb5-dev; only the Exchange connector with Kerberos needs it.
    extras_require={
        "kerberos": Path("requirements/kerberos.in").read_text(encoding="utf-8").split()
    },
    entry_points={"console_scripts": ["sekisho = sekisho.__main__:main"]},
)
