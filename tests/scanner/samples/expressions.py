"""Compiles the expressions in a method of a sample: see `tests.scanner.samples.compiler`."""

import ast
from collections.abc import Sequence

from tests.scanner.samples.dex_model import Field, Label, Method, Op, width
from tests.scanner.samples.framework import OBJECT, Class, type_of
from tests.scanner.samples.scope import (
    PARAMETER,
    STRING,
    TEXT_CLASS,
    SampleError,
    Scope,
    Value,
    ancestors,
    suffix,
    word,
)


class Expressions:
    """Compiles the expressions of one method: registers, calls, constants."""

    def __init__(
        self,
        scope: Scope,
        item: ast.FunctionDef,
        method: Method,
        is_static: bool,
    ) -> None:
        self._known, self._own, self._style = scope
        self._item, self._method, self._is_static = item, method, is_static
        self._code: list[Op | Label] = []
        self._labels = 0
        self._top = 0
        self._highest = 0
        self._locals: dict[str, Value] = {}
        self._parameter_words = 0
        names = [a.arg for a in item.args.args]
        types = [] if is_static else [self._own.name]
        for name, kind in zip(names, [*types, *method.parameters], strict=True):
            self._locals[name] = Value(PARAMETER + self._parameter_words, kind)
            self._parameter_words += width(kind)

    # --- expressions: the result stands in the register that was free first ---

    def _value(self, node: ast.expr, wanted: str | None = None) -> Value:
        if isinstance(node, ast.Name) and node.id in self._locals:
            return self._locals[node.id]
        if isinstance(node, ast.Constant):
            return self._constant(node, wanted)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            number = -node.operand.value  # type: ignore[attr-defined]
            return self._number(number, wanted if wanted in ("J", "F") else "I")
        if isinstance(node, ast.Name):
            return self._put("const-class", "Ljava/lang/Class;", self._class(node).name)
        if isinstance(node, ast.BinOp):
            return self._binary(node)
        if isinstance(node, ast.Subscript):
            return self._element(node)
        if isinstance(node, ast.Attribute):
            return self._get(node)
        if isinstance(node, ast.Call):
            return self._call(node)
        raise self._wrong(node)

    def _constant(self, node: ast.Constant, wanted: str | None) -> Value:
        if isinstance(node.value, str):
            return self._text(node.value)
        if node.value is None:
            return self._number(0, wanted or OBJECT)
        if not isinstance(node.value, int):
            raise self._wrong(node)
        kind = "Z" if isinstance(node.value, bool) else "I"
        return self._number(int(node.value), wanted if wanted in ("J", "F", "Z") else kind)

    def _text(self, text: str) -> Value:
        if not self._style.hides_texts or self._own is self._known.get(TEXT_CLASS):
            return self._put("const-string", STRING, text)
        hidden = self._put("const-string", STRING, "".join(chr(ord(c) ^ 27) for c in text))
        ((method, _),) = self._known[TEXT_CLASS].methods
        self._emit("invoke-static", hidden.register, symbol=method)
        self._emit("move-result-object", hidden.register)
        return hidden

    def _number(self, number: int, kind: str) -> Value:
        register = self._claim(kind)
        name = "const-wide/16" if kind == "J" else "const/16"
        if name == "const/16" and not -0x8000 <= number < 0x8000:
            name = "const"
        self._emit(name, register, number=number)
        return Value(register, kind)

    def _put(self, name: str, kind: str, symbol: str | Field) -> Value:
        register = self._claim(kind)
        self._emit(name, register, symbol=symbol)
        return Value(register, kind)

    def _binary(self, node: ast.BinOp) -> Value:
        kept = self._top
        first, second = self._value(node.left), self._value(node.right)
        self._top = kept
        register = self._claim("I")
        name = "add-int" if isinstance(node.op, ast.Add) else "xor-int"
        self._emit(name, register, first.register, second.register)
        return Value(register, "I")

    def _element(self, node: ast.Subscript) -> Value:
        kept = self._top
        array, index = self._value(node.value), self._value(node.slice)
        self._top = kept
        register = self._claim(OBJECT)
        self._emit("aget-object", register, array.register, index.register)
        return Value(register, array.type[1:])

    def _get(self, node: ast.Attribute) -> Value:
        if isinstance(node.value, ast.Name) and node.value.id not in self._locals:
            field, _ = self._field(self._class(node.value).name, node)
            return self._put(f"sget{suffix(field.type)}", field.type, field)
        kept = self._top
        owner = self._value(node.value)
        field, _ = self._field(owner.type, node)
        self._top = kept
        register = self._claim(field.type)
        self._emit(f"iget{suffix(field.type)}", register, owner.register, symbol=field)
        return Value(register, field.type)

    # --- calls ---

    def _call(self, node: ast.Call) -> Value:
        if isinstance(node.func, ast.Name):
            special = {"cast": self._cast, "array": self._array, "chr": self._char}
            if node.func.id in special:
                return special[node.func.id](node)
            return self._new(node, self._class(node.func))
        if not isinstance(node.func, ast.Attribute):
            raise self._wrong(node)
        receiver = node.func.value
        if isinstance(receiver, ast.Name) and receiver.id not in self._locals:
            owner = self._class(receiver)
            return self._invoke(node, owner, "invoke-static", None)
        if isinstance(receiver, ast.Call) and word(receiver) == "super()":
            parent = self._by_name(self._own.parent)
            return self._invoke(node, parent, "invoke-super", self._locals["self"])
        kept = self._top
        value = self._value(receiver)
        owner = self._by_name(value.type)
        kind = "invoke-interface" if owner.is_interface else "invoke-virtual"
        return self._invoke(node, owner, kind, value, kept)

    def _new(self, node: ast.Call, owner: Class) -> Value:
        kept = self._top
        made = self._put("new-instance", owner.name, owner.name)
        self._invoke(node, owner, "invoke-direct", made)
        self._top = kept + 1
        return made

    def _invoke(
        self,
        node: ast.Call,
        owner: Class,
        kind: str,
        receiver: Value | None,
        kept: int | None = None,
    ) -> Value:
        kept = self._top if kept is None else kept
        name = node.func.attr if isinstance(node.func, ast.Attribute) else "<init>"
        method = self._method_of(owner, name, node, kind == "invoke-static")
        wide = sum(width(p) for p in method.parameters) + (receiver is not None) > 5
        words = [self._next(receiver) if wide else receiver.register] if receiver else []
        for argument, wanted in zip(node.args, method.parameters, strict=True):
            start = self._top
            value = self._value(argument, wanted)
            if wide and value.register != start:
                self._top = start
                value = Value(self._next(value), wanted)
            words += [value.register + extra for extra in range(width(wanted))]
        kind += "/range" if wide else ""
        self._emit(kind, *words, symbol=method)
        self._top = kept
        if method.result == "V":
            return Value(kept, "V")
        register = self._claim(method.result)
        self._emit(f"move-result{suffix(method.result, small='')}", register)
        return Value(register, method.result)

    def _next(self, value: Value) -> int:
        """Return the next free register, which now holds *value*."""
        register = self._claim(value.type)
        self._move(register, value)
        return register

    def _method_of(self, owner: Class, name: str, node: ast.Call, is_static: bool) -> Method:
        given = [self._guess(argument) for argument in node.args]
        for ancestor in ancestors(owner, self._known):
            for method, static in ancestor.methods:
                named = method.name == (self._style.name(name) if ancestor.is_own else name)
                named = named or method.name == name
                if not named or (static != is_static and name != "<init>"):
                    continue
                if self._fits(method.parameters, given):
                    return method._replace(owner=owner.name)
            if name == "<init>":
                break
        if name == "<init>" and not given and owner.is_own:
            return Method(owner.name, "<init>", "V", ())
        raise SampleError(f"line {node.lineno}: {owner.name} has no {name} for {given}")

    def _fits(self, parameters: tuple[str, ...], given: Sequence[str]) -> bool:
        return len(parameters) == len(given) and all(
            self._takes(wanted, kind) for wanted, kind in zip(parameters, given, strict=True)
        )

    def _takes(self, wanted: str, kind: str) -> bool:
        if kind == "null":
            return wanted[0] in "L["
        if wanted[0] not in "L[" or kind[0] not in "L[":
            return wanted == kind or (kind == "number" and wanted in "IJFS")
        if wanted == OBJECT or kind == wanted:
            return True
        if kind == STRING and wanted == "Ljava/lang/CharSequence;":
            return True
        if kind[0] == "[":
            return False
        return any(a.name == wanted for a in ancestors(self._by_name(kind), self._known))

    def _guess(self, node: ast.expr) -> str:
        """Return the type of an expression without compiling it for good."""
        if isinstance(node, ast.Constant):
            kinds = {str: STRING, bool: "Z", int: "number", type(None): "null"}
            return kinds[type(node.value)]
        if isinstance(node, ast.UnaryOp):
            return "number"
        kept, code, labels = self._top, len(self._code), self._labels
        highest = self._highest
        found = self._value(node).type
        del self._code[code:]
        self._top, self._labels, self._highest = kept, labels, highest
        return found

    def _cast(self, node: ast.Call) -> Value:
        kept = self._top
        wanted = type_of(word(node.args[0]), self._known)
        value = self._value(node.args[1])
        if value.register != kept:
            self._top = kept
            self._move(self._claim(wanted), value)
        self._emit("check-cast", kept, symbol=wanted)
        return Value(kept, wanted)

    def _array(self, node: ast.Call) -> Value:
        """``array(byte, 1024)``, or ``array(String, "a", "b")`` with what stands in it."""
        kept = self._top
        element = type_of(word(node.args[0]), self._known)
        is_size = element[0] not in "L["
        register = self._claim(OBJECT)
        size = self._value(node.args[1]) if is_size else self._number(len(node.args) - 1, "I")
        self._emit("new-array", register, size.register, symbol=f"[{element}")
        self._top = register + 1
        for index, item in enumerate([] if is_size else node.args[1:]):
            value, place = self._value(item, element), self._number(index, "I")
            self._emit("aput-object", value.register, register, place.register)
            self._top = register + 1
        self._top = kept + 1
        return Value(register, f"[{element}")

    def _char(self, node: ast.Call) -> Value:
        value = self._value(node.args[0])
        self._emit("int-to-char", value.register, value.register)
        return Value(value.register, "C")

    # --- look-ups and small things ---

    def _class(self, node: ast.Name) -> Class:
        if node.id not in self._known:
            raise SampleError(f"line {node.lineno}: there is no class {node.id}")
        return self._known[node.id]

    def _by_name(self, name: str) -> Class:
        for one in self._known.values():
            if one.name == name:
                return one
        return self._known["Object"]

    def _field(self, type_name: str, node: ast.Attribute) -> tuple[Field, bool]:
        for ancestor in ancestors(self._by_name(type_name), self._known):
            if node.attr in ancestor.fields:
                return ancestor.fields[node.attr]
        raise SampleError(f"line {node.lineno}: {type_name} has no field {node.attr}")

    def _claim(self, kind: str) -> int:
        register = self._top
        self._top += width(kind)
        self._highest = max(self._highest, self._top)
        return register

    def _move(self, register: int, value: Value) -> None:
        if register != value.register:
            self._emit(f"move{suffix(value.type, small='')}", register, value.register)

    def _emit(
        self,
        name: str,
        *registers: int,
        symbol: str | Method | Field | None = None,
        number: int = 0,
    ) -> None:
        self._code.append(Op(name, registers, symbol, number))

    def _label(self) -> int:
        self._labels += 1
        return self._labels

    def _wrong(self, node: ast.stmt | ast.expr) -> SampleError:
        return SampleError(f"line {node.lineno}: samples have no {type(node).__name__}")
