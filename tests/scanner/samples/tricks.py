"""What costs a writer of malware five minutes: applied to compiled samples, whose rules must hold.

Each trick takes classes and gives classes that do the same.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import pairwise

from scanner.flow import USER_ACTS
from tests.scanner.samples.dex_model import PUBLIC, STATIC, Body, ClassBody, Method, Op, width
from tests.scanner.samples.sample import DISGUISED, Trick, disguise
from tests.scanner.samples.scope import Style, suffix

WRAPPERS = 7
ACTS = sorted(USER_ACTS)


def in_androids_package(name: str) -> str:
    """Return another name for *name*, as if it were one of Android's own."""
    return f"android.{disguise(name)[:4]}" if "." in name else disguise(name)


ANDROIDS = Style(in_androids_package, hides_texts=True)


def wrapped(classes: list[ClassBody]) -> list[ClassBody]:
    """Put empty methods between each method that Android may call and what it does."""
    return [_changed(one, lambda body: _chain(body, WRAPPERS)) for one in classes]


def busily_wrapped(classes: list[ClassBody]) -> list[ClassBody]:
    """Put methods between that call others, too, for nothing."""
    return [_changed(one, lambda body: _chain(body, WRAPPERS, idle=True)) for one in classes]


def in_acts(classes: list[ClassBody]) -> list[ClassBody]:
    """Move what methods do into others that are called as if only the user could start them."""
    return [
        replace(one, methods=[*_moved(one.methods, iter(ACTS))])
        if len(one.methods) < len(ACTS)
        else one
        for one in classes
    ]


def _changed(one: ClassBody, change: Callable[[Body], Iterable[Body]]) -> ClassBody:
    methods = [new for body in one.methods for new in (change(body) if _fits(body) else [body])]
    return replace(one, methods=[*{new.method: new for new in methods}.values()])


def _fits(body: Body) -> bool:
    size = 1 + sum(map(width, body.method.parameters))
    return not body.access & STATIC and body.method.name[0] != "<" and bool(body.code) and size < 6


def _moved(methods: Iterable[Body], names: Iterator[str]) -> Iterator[Body]:
    for body in methods:
        if not _fits(body):
            yield body
            continue
        inner = body.method._replace(name=next(names))
        yield _calling(body, [], inner)
        yield replace(body, method=inner)


def _chain(body: Body, count: int, idle: bool = False) -> Iterator[Body]:
    """Yield *body* behind *count* methods that only call the next one."""
    names = [body.method.name, *(f"{body.method.name}{n}" for n in range(count))]
    methods = [body.method._replace(name=name) for name in names]
    nothing = [
        body.method._replace(name=f"nothing{n}", result="V", parameters=()) for n in range(2)
    ]
    for outer, inner in pairwise(methods):
        yield _calling(replace(body, method=outer), nothing if idle else [], inner)
    yield replace(body, method=methods[-1])
    if idle:
        yield from (Body(one, PUBLIC, 1, [Op("return-void")]) for one in nothing)


def _calling(body: Body, before: Iterable[Method], inner: Method) -> Body:
    """Return a method like *body* that calls *before* and gives what *inner* gives."""
    size = 1 + sum(map(width, inner.parameters))
    code = [Op("invoke-virtual", (1,), one) for one in before]
    code.append(Op("invoke-virtual", tuple(range(1, size + 1)), inner))
    if inner.result == "V":
        code.append(Op("return-void"))
    else:
        kind = suffix(inner.result, small="")
        code += [Op(f"move-result{kind}", (0,)), Op(f"return{kind}", (0,))]
    # A wide result would need another register than the first argument.
    if width(inner.result) == 2 if inner.result != "V" else False:
        return body
    return replace(body, registers=size + 1, code=[*code])


TRICKS: dict[str, tuple[Style, Trick]] = {
    "wrapped": (DISGUISED, wrapped),
    "busily wrapped": (DISGUISED, busily_wrapped),
    "in methods named like acts": (DISGUISED, in_acts),
    "in Android's package": (ANDROIDS, list),
}
