"""The part of Android that samples use: `framework.txt`, read into classes and methods."""

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from tests.scanner.samples.dex_model import Field, Method

SOURCE = Path(__file__).with_name("framework.txt")
PRIMITIVES = {
    "void": "V", "boolean": "Z", "byte": "B", "char": "C", "short": "S", "int": "I",
    "long": "J", "float": "F", "double": "D",
}  # fmt: skip
OBJECT = "Ljava/lang/Object;"


@dataclass
class Class:
    """A class of Android or of a sample, and what it declares."""

    name: str
    """Descriptor."""
    parent: str = OBJECT
    interfaces: tuple[str, ...] = ()
    is_interface: bool = False
    is_own: bool = False
    methods: list[tuple[Method, bool]] = field(default_factory=list)
    """With: is it static."""
    fields: dict[str, tuple[Field, bool]] = field(default_factory=dict)


@cache
def framework() -> dict[str, Class]:
    """Return the classes of `framework.txt` by their simple names."""
    lines = [line for line in SOURCE.read_text("utf-8").splitlines() if line.strip()]
    found: dict[str, Class] = {}
    for line in lines:
        if not line.startswith(" "):
            words = line.removeprefix("interface ").split(" extends ")
            name = words[0].strip()
            simple = name.rpartition(".")[2].replace("$", "_")
            found[simple] = Class(descriptor(name), is_interface=line.startswith("interface "))
    current = None
    for line in lines:
        if not line.startswith(" "):
            words = line.removeprefix("interface ").split(" extends ")
            current = found[words[0].strip().rpartition(".")[2].replace("$", "_")]
            if len(words) > 1:
                current.parent = type_of(words[1].strip(), found)
        elif current is not None:
            _member(current, line.strip(), found)
    return found


def descriptor(name: str) -> str:
    """Return the descriptor of the class with that full name."""
    return f"L{name.replace('.', '/')};"


def type_of(word: str, classes: dict[str, Class]) -> str:
    """Return the descriptor of the type that *word* names: ``int``, ``String``, ``byte[]``."""
    if word.endswith("[]"):
        return "[" + type_of(word[:-2], classes)
    return PRIMITIVES.get(word) or classes[word.replace(".", "_").replace("$", "_")].name


def _member(owner: Class, line: str, classes: dict[str, Class]) -> None:
    is_static = line.startswith("static ")
    head, _, arguments = line.removeprefix("static ").partition("(")
    *result, name = head.split()
    if not arguments:
        owner.fields[name] = Field(owner.name, name, type_of(result[0], classes)), is_static
        return
    words = [word.strip() for word in arguments.rstrip(")").split(",") if word.strip()]
    parameters = tuple(type_of(word, classes) for word in words)
    if not result:
        name, result = "<init>", ["void"]
    method = Method(owner.name, name, type_of(result[0], classes), parameters)
    owner.methods.append((method, is_static))
