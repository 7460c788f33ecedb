"""Compiles the classes of a sample, written in a small part of Python's syntax, to DEX.

A sample says what an app does in a dozen lines: classes derive from Android's (`framework.txt`),
a method that overrides one of Android's takes its types, others write them down. Texts of the
samples are parsed, never run. Method references are made the way Java compilers make them: they
name the static type of the receiver, so ``self.abortBroadcast()`` names the sample's own class.
"""

import ast
from collections.abc import Sequence

from tests.scanner.samples.dex_model import (
    CONSTRUCTOR,
    PUBLIC,
    STATIC,
    Body,
    ClassBody,
    Field,
    Label,
    Method,
    Op,
    width,
)
from tests.scanner.samples.expressions import Expressions
from tests.scanner.samples.framework import Class, framework, type_of
from tests.scanner.samples.scope import (
    PARAMETER,
    SampleError,
    Scope,
    Style,
    Value,
    ancestors,
    suffix,
    word,
)

DECRYPTOR = """
class Texts:
    def plain(hidden: String) -> String:
        out = StringBuilder()
        at = 0
        end = hidden.length()
        while at < end:
            out.append(chr(hidden.charAt(at) ^ 27))
            at = at + 1
        return out.toString()
"""


def compile_classes(
    definitions: Sequence[ast.ClassDef], package: str, style: Style
) -> list[ClassBody]:
    """Return the classes of *definitions*; each must come after its own parent."""
    if style.hides_texts:
        (decryptor,) = ast.parse(DECRYPTOR).body
        definitions = [*definitions, decryptor]  # type: ignore[list-item]
    known = dict(framework())
    for one in definitions:
        known[one.name] = Class(class_name(package, one.name, style), is_own=True)
    for one in definitions:
        _declare(one, known, style)
    return [_ClassCompiler(one, known, style).compile() for one in definitions]


def class_name(package: str, name: str, style: Style) -> str:
    """Return the descriptor of the sample's class *name*."""
    return f"L{style.name(package).replace('.', '/')}/{style.name(name)};"


def _declare(one: ast.ClassDef, known: dict[str, Class], style: Style) -> None:
    own = known[one.name]
    bases = [known[word(base)] for base in one.bases]
    if bases and not bases[0].is_interface:
        own.parent = bases.pop(0).name
    own.interfaces = tuple(base.name for base in bases)
    for item in one.body:
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            found = Field(
                own.name, style.name(item.target.id), type_of(word(item.annotation), known)
            )
            own.fields[item.target.id] = found, False
        elif isinstance(item, ast.FunctionDef):
            own.methods.append(_signature(item, own, known, style))


def _signature(
    item: ast.FunctionDef, own: Class, known: dict[str, Class], style: Style
) -> tuple[Method, bool]:
    names = [argument.arg for argument in item.args.args]
    is_static = names[:1] != ["self"]
    count = len(names) - (not is_static)
    for ancestor in ancestors(own, known):
        for method, _ in ancestor.methods:
            if ancestor is not own and (method.name, len(method.parameters)) == (item.name, count):
                return method._replace(owner=own.name), False
    annotations = [a.annotation for a in item.args.args if a.arg != "self"]
    parameters = tuple(type_of(word(one), known) for one in annotations if one)
    if len(parameters) != count:
        raise SampleError(f"line {item.lineno}: {item.name} overrides nothing: write its types")
    result = type_of(word(item.returns), known) if item.returns else "V"
    name = "<init>" if item.name == "__init__" else style.name(item.name)
    return Method(own.name, name, result, parameters), is_static


class _ClassCompiler:
    def __init__(self, definition: ast.ClassDef, known: dict[str, Class], style: Style) -> None:
        self._definition = definition
        self.own = known[definition.name]
        self._scope = Scope(known, self.own, style)

    def compile(self) -> ClassBody:
        functions = [i for i in self._definition.body if isinstance(i, ast.FunctionDef)]
        methods = [
            _MethodCompiler(self._scope, item, method, is_static).compile()
            for item, (method, is_static) in zip(functions, self.own.methods, strict=True)
        ]
        if not any(body.method.name == "<init>" for body in methods):
            empty = ast.parse("def __init__(self): pass").body[0]
            method = Method(self.own.name, "<init>", "V", ())
            methods.append(_MethodCompiler(self._scope, empty, method, False).compile())  # type: ignore[arg-type]
        fields = [(field, PUBLIC) for field, _ in self.own.fields.values()]
        return ClassBody(
            self.own.name, self.own.parent, self.own.interfaces, PUBLIC, fields, methods
        )


class _MethodCompiler(Expressions):
    """Compiles the statements of one method."""

    def compile(self) -> Body:
        access = PUBLIC | (STATIC if self._is_static else 0)
        if self._method.name == "<init>":
            access |= CONSTRUCTOR
            parent = Method(self._own.parent, "<init>", "V", ())
            self._emit("invoke-direct", PARAMETER, symbol=parent)
        self._statements(self._item.body)
        if self._method.result == "V":
            self._emit("return-void")
        registers = self._highest + self._parameter_words
        if registers > 16:
            raise SampleError(f"line {self._item.lineno}: split {self._item.name}, it is too long")
        code = [
            item._replace(registers=tuple(self._final(r) for r in item.registers))
            if isinstance(item, Op)
            else item
            for item in self._code
        ]
        return Body(self._method, access, registers, code)

    def _final(self, register: int) -> int:
        return register if register < PARAMETER else register - PARAMETER + self._highest

    # --- statements ---

    def _statements(self, body: Sequence[ast.stmt]) -> None:
        for statement in body:
            kept = self._top
            if isinstance(statement, ast.Assign):
                self._assign(statement)
                continue
            if isinstance(statement, ast.Expr):
                if not isinstance(statement.value, ast.Constant):  # a docstring
                    self._value(statement.value)
            elif isinstance(statement, ast.Return):
                self._return(statement)
            elif isinstance(statement, ast.If):
                self._if(statement)
            elif isinstance(statement, ast.While):
                self._while(statement)
            elif isinstance(statement, ast.Raise) and statement.exc is not None:
                self._emit("throw", self._value(statement.exc).register)
            elif not isinstance(statement, ast.Pass):
                raise self._wrong(statement)
            self._top = kept

    def _assign(self, statement: ast.Assign) -> None:
        (target,) = statement.targets
        kept = self._top
        if isinstance(target, ast.Attribute):
            owner = self._value(target.value)
            field, _ = self._field(owner.type, target)
            value = self._value(statement.value, field.type)
            self._emit(f"iput{suffix(field.type)}", value.register, owner.register, symbol=field)
            self._top = kept
            return
        if not isinstance(target, ast.Name):
            raise self._wrong(statement)
        known = self._locals.get(target.id)
        value = self._value(statement.value, known.type if known else None)
        if known:
            self._move(known.register, value)
            self._top = kept
            return
        if value.register != kept:  # another name for a parameter or a local
            self._top = kept
            self._claim(value.type)
            self._move(kept, value)
        self._locals[target.id] = Value(kept, value.type)
        self._top = kept + width(value.type)

    def _return(self, statement: ast.Return) -> None:
        if statement.value is None:
            self._emit("return-void")
            return
        result = self._method.result
        value = self._value(statement.value, result)
        self._emit(f"return{suffix(result, small='')}", value.register)

    def _if(self, statement: ast.If) -> None:
        otherwise, end = self._label(), self._label()
        self._unless(statement.test, otherwise)
        self._block(statement.body)
        if statement.orelse:
            self._emit("goto/16", number=end)
        self._code.append(Label(otherwise))
        self._block(statement.orelse)
        self._code.append(Label(end))

    def _while(self, statement: ast.While) -> None:
        again, end = self._label(), self._label()
        self._code.append(Label(again))
        if not isinstance(statement.test, ast.Constant):
            self._unless(statement.test, end)
        self._block(statement.body)
        self._emit("goto/16", number=again)
        self._code.append(Label(end))

    def _block(self, body: Sequence[ast.stmt]) -> None:
        """Locals that are new in a block end with it."""
        kept, top = dict(self._locals), self._top
        self._statements(body)
        self._locals, self._top = kept, top

    def _unless(self, test: ast.expr, target: int) -> None:
        """Jump to *target* when *test* does not hold."""
        kept = self._top
        if isinstance(test, ast.Compare):
            left, right = test.left, test.comparators[0]
            kind = {ast.Eq: "if-ne", ast.NotEq: "if-eq", ast.Lt: "if-ge"}.get(type(test.ops[0]))
            if isinstance(test.ops[0], ast.Is | ast.IsNot):
                zero = "if-nez" if isinstance(test.ops[0], ast.Is) else "if-eqz"
                self._emit(zero, self._value(left).register, number=target)
            elif kind:
                first, second = self._value(left), self._value(right)
                self._emit(kind, first.register, second.register, number=target)
            else:
                raise self._wrong(test)
        elif isinstance(test, ast.UnaryOp):
            self._emit("if-nez", self._value(test.operand).register, number=target)
        else:
            self._emit("if-eqz", self._value(test).register, number=target)
        self._top = kept
