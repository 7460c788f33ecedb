"""Walks through an app's code as it would run, and notes the calls that rules ask about.

Not an emulator: each path of a method is walked once (again where a value gains an origin), both
sides of a branch are taken, and a value knows two things: the constant it is, and the noted calls
that it was made of. `docs/patterns.md` says what rules can rely on. Bounded by `Budget`.
"""

from collections.abc import Sequence

from scanner.code_file import Called, Method
from scanner.effects import Site, call, copy, keep, nothing, taken_apart
from scanner.frames import Budget, BudgetError, Event, Frame, Names, Paths
from scanner.program import Program
from scanner.values import ARRAY, EMPTY, Key, Value, mixed, put_into

MAXIMUM_EVENTS = 4_000
"""Noted in one walk."""
MAXIMUM_TRACE = 12_000
"""Events of one walk in their order, with what happens again."""
MAXIMUM_RUNS = 8
"""Of one method in one walk, each with other arguments or fields."""
REGISTERS_A_STEP = 16
UNITS_A_STEP = 64
"""Copying registers and reading code costs too, which hostile code drives up."""
MAXIMUM_PASSES = 3
"""Over one method in one call."""
USER_ACTS = frozenset(
    {
        *("onClick", "onLongClick", "onItemClick", "onItemLongClick", "onItemSelected"),
        *("onTouch", "onTouchEvent", "onKey", "onKeyDown", "onCheckedChanged", "onDoubleTap"),
        *("onMenuItemClick", "onOptionsItemSelected", "onContextItemSelected"),
        *("onEditorAction", "onNavigationItemSelected", "onBackPressed"),
    }
)
"""Methods that Android calls when the user touches something."""


class Walk:
    """One walk from some methods; *noted* is file -> (method rows, field rows) -> names."""

    def __init__(
        self,
        program: Program,
        noted: Sequence[tuple[Names, Names]],
        budget: Budget,
        reach: int,
        user_acts: bool,
    ) -> None:
        self._program = program
        self._noted = noted
        self._budget = budget
        self._reach = reach
        self._user_acts = user_acts
        self.events: list[Event] = []
        """Each once; the number of an event is its place here."""
        self.trace: list[int | tuple[int, int]] = []
        """Their order: the number of an event, or from where to where in here it goes again."""
        self._fields: dict[str, Value] = {}
        self._changes = 0
        """How often a field gained something: then what reads it may do something else."""
        self._followed: dict[tuple[str, frozenset[int], int, int], tuple[int, int]] = {}
        self._running: dict[Method, int] = {}
        self._runs: dict[Method, int] = {}
        self._done: dict[tuple[Method, tuple[Key, ...], int], tuple[Value, int, int] | None] = {}

    def start(self, method: Method, kind: str) -> None:
        """Walk from *method* on, in an object of class *kind*."""
        if self._user_acts or method.name not in USER_ACTS:
            self._enter(method, [Value(kind=kind)], 0)

    def _enter(self, method: Method, arguments: Sequence[Value], depth: int) -> Value:
        """Return what *method* gives; what it does is walked once for the same arguments."""
        given_keys = [(one.constant, one.origins, one.holds, one.kind) for one in arguments]
        key = (method, tuple(given_keys), self._changes)
        if key in self._done:
            known = self._done[key]
            if known is None:  # it calls itself
                return mixed(arguments)
            self._repeat(*known[1:])
            return known[0]
        running, runs = self._running.get(method, 0), self._runs.get(method, 0)
        if running > 1 or runs >= MAXIMUM_RUNS:
            return mixed(arguments)  # deeper into itself, or once more, there is nothing new
        self._runs[method] = runs + 1
        self._done[key] = None
        begin = len(self.trace)
        body = self._program.body(method.file, method.code_at)
        frame = Frame(body, method, arguments, depth, self._noted[method.file])
        self._running[method] = running + 1
        self._run(frame)
        self._running[method] = running
        given = frame.returned[0] if len(frame.returned) == 1 else mixed(frame.returned)
        self._done[key] = (given, begin, len(self.trace))
        return given

    def _repeat(self, begin: int, end: int) -> None:
        if begin < end and self.trace[-1] != (begin, end):
            self._went((begin, end))

    def _went(self, place: int | tuple[int, int]) -> None:
        if len(self.trace) >= MAXIMUM_TRACE:
            raise BudgetError
        self.trace.append(place)

    def _run(self, frame: Frame) -> None:
        body = frame.body
        size = len(body.units)
        paths = Paths(size, frame.registers)
        handlers = [*body.catches]
        wide = len(frame.registers) // REGISTERS_A_STEP
        self._budget.spend(wide + size // UNITS_A_STEP)
        while paths.waiting or handlers:
            if not paths.waiting:
                paths.waiting.append((handlers.pop(), frame.registers, 1))
            self._budget.spend(self._go(frame, paths, wide) + 1)

    def _go(self, frame: Frame, paths: Paths, wide: int) -> int:
        """Walk the next of *paths* to its end; return how many steps that took."""
        at, registers, turn = paths.waiting.pop()
        frame.registers = registers
        marks, known, size, steps = paths.marks, frame.body.instructions, len(paths.marks), 0
        while 0 <= at < size:
            if marks[at] >= turn:
                steps += wide
                turn = _next_turn(at, registers, paths.seen, turn)
                if not turn:
                    break
            marks[at] = turn
            steps += 1
            if at not in known:
                known[at] = taken_apart(self._program, frame.body, at)
            do, to, given, at, jumps = known[at]
            if do is call:
                self.call(frame, given)
            elif do is keep:
                registers[to] = given
            elif do is copy:
                registers[to] = registers[given]
            elif do is not nothing:
                do(self, frame, to, given)
            if jumps:
                self._branch(paths, jumps, registers, turn)
        return steps

    def _branch(
        self, paths: Paths, jumps: tuple[int, list[int]], registers: list[Value], turn: int
    ) -> None:
        if len(registers) >= REGISTERS_A_STEP:
            self._budget.spend(len(registers) // REGISTERS_A_STEP * jumps[0])
        paths.waiting += [(place, [*registers], turn) for place in jumps[1]]

    # --- calls ---

    def call(self, frame: Frame, site: Site) -> None:
        """Walk the call at *site*."""
        registers = frame.registers
        values = [registers[number] for number in site.registers]
        called = frame.body.file.called(site.row)
        names = frame.noted[0].get(site.row)
        if names is None:
            target = self._target(frame.method.file, called, values, site)
            if target is not None:
                frame.result = self._own(target, values, frame.depth)
                return
        frame.result = self._foreign(frame, site, names, values, called)

    def _target(
        self, number: int, called: Called, values: Sequence[Value], site: Site
    ) -> Method | None:
        """Return the own method that runs: that of the object's class, if it is known."""
        if site.is_dispatched and values and (values[0].kind or values[0].holds):
            for holder in (values[0].kind, *sorted(values[0].holds)):
                found = self._program.method(holder, called.name, called.proto)
                if found is not None:
                    return found
        return self._program.target(number, site.row)

    def _own(self, target: Method, values: Sequence[Value], depth: int) -> Value:
        is_act = target.name in USER_ACTS and not self._user_acts
        if depth >= self._reach or is_act:
            return mixed(values)
        return self._enter(target, values, depth + 1)

    def _foreign(
        self,
        frame: Frame,
        site: Site,
        names: frozenset[str] | None,
        values: list[Value],
        called: Called,
    ) -> Value:
        """Walk a call of the framework: note it, mix its arguments, follow objects it is given."""
        more, is_static = EMPTY.origins, site.is_static
        if names:
            shorty = frame.body.file.parameters(called.proto_row)[1:]
            more = self.note(frame, site.at, names, values, shorty, is_static)
        given = values if is_static else values[1:]
        if not is_static and values and values[0].is_new:
            put_into(values[0], [*given, Value(None, more)])
        result = mixed(values, more)
        for value in given:
            if value.is_new and value.constant == ARRAY:
                value.origins |= result.origins
        handed = mixed(given) if called.name == "<init>" else result
        if handed.holds:
            for holder in sorted(handed.holds):
                self._follow(holder, given, frame.depth)
        return result

    def _follow(self, holder: str, given: Sequence[Value], depth: int) -> None:
        """Walk what the framework calls on an own object: any method but those of the user."""
        found = self._program.own_class(holder)
        if found is None or depth >= self._reach:
            return
        passed = Value(None, mixed(given).origins)
        key = (holder, passed.origins, depth, self._changes)
        if key in self._followed:
            self._repeat(*self._followed[key])
            return
        begin = len(self.trace)
        self._followed[key] = (begin, begin)  # while it runs
        # A component is handed around as Context: that alone starts nothing of it.
        is_context = self._program.descends(holder, ("Landroid/content/Context;",))
        holds = frozenset() if is_context else frozenset((holder,))
        this = Value(None, frozenset(), holds, kind=holder)
        for method in found.methods.values():
            if not method.name.startswith("<") and (
                self._user_acts or method.name not in USER_ACTS
            ):
                self._enter(method, [this, *[passed] * 6], depth + 1)
        self._followed[key] = (begin, len(self.trace))

    def note(
        self,
        frame: Frame,
        at: int,
        names: frozenset[str],
        values: Sequence[Value],
        shorty: str,
        is_static: bool,
    ) -> frozenset[int]:
        """Add an event and return its number."""
        if len(self.events) >= MAXIMUM_EVENTS:
            raise BudgetError
        this = None if is_static or not values else values[0]
        rest, arguments, slot = values if is_static else values[1:], [], 0
        for letter in shorty:
            if slot < len(rest):
                value = rest[slot]
                arguments.append(Value(value.constant, value.origins, value.holds))
            slot += 2 if letter in "JD" else 1
        offset = frame.method.code_at + 16 + 2 * at
        shown = this and Value(this.constant, this.origins, this.holds)
        number = len(self.events)
        self._went(number)
        self.events.append(Event(number, names, tuple(arguments), shown, frame.method, offset))
        return frozenset((number,))

    # --- fields ---

    def get_field(self, frame: Frame, at: int, row: int, key: str) -> Value:
        """Return what is known of a field: of any object, as fields are not told apart by it."""
        known = self._fields.get(key)
        if known is None:  # what is put into the object that it holds stays there
            known = self._fields[key] = Value(is_new=True)
        names = frame.noted[1].get(row)
        if not names:
            return known
        number = self.note(frame, at, names, [], "", True)
        return Value(None, known.origins | number, known.holds)

    def put_field(self, key: str, value: Value) -> None:
        """Keep *value* beside what the field may hold already."""
        before = self._fields.get(key)
        if before is None or before.key() == EMPTY.key():
            self._changes += bool(value.origins or value.holds)
            self._fields[key] = value
        elif not (value.origins <= before.origins and value.holds <= before.holds):
            self._changes += 1
            self._fields[key] = mixed((before, value))


def _next_turn(
    at: int, registers: Sequence[Value], seen: dict[int, list[frozenset[int]]], turn: int
) -> int:
    """Return the number of the pass to go on with, or 0: nothing new comes from here."""
    now = [value.origins for value in registers]
    before = seen.get(at)
    if before == now:
        return 0
    if before is None:
        fresh = any(now)
        seen[at] = now
    else:
        fresh = any(not a <= b for a, b in zip(now, before, strict=True))
        seen[at] = [a | b for a, b in zip(now, before, strict=True)]
    return turn + 1 if fresh and turn < MAXIMUM_PASSES else 0
