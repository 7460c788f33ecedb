"""Packages Sekisho. What it needs is in requirements/run.in, locked with hashes in run.lock."""

from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

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


class BuildWithLock(build_py):
    """Put the lock of the dependencies into the wheel: a release names what it needs."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            lock = Path("requirements/run.lock").read_bytes()
            (Path(self.build_lib) / "sekisho" / "run.lock").write_bytes(lock)


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
        # The TUF root of the project's releases; put there by whoever builds one.
        "updater": ["release_root.json"],
    },
    install_requires=Path("requirements/run.in").read_text(encoding="utf-8").split(),
    # Built with gcc and libkrb5-dev; only the Exchange connector with Kerberos needs it.
    extras_require={
        "kerberos": Path("requirements/kerberos.in").read_text(encoding="utf-8").split()
    },
    cmdclass={"build_py": BuildWithLock},
    entry_points={"console_scripts": ["sekisho = sekisho.__main__:main"]},
)
