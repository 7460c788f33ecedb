"""Walks through an app's code as it would run, and notes the calls that rules ask about.

Not an emulator: each path of a method is walked once (again where a value gains an origin), both
sides of a branch are taken, and a value knows two things: the constant it is, and the noted calls
that it was made of. `docs/patterns.md` says what rules can rely on. Bounded by `Budget`.
"""

from collections.abc import Callable, Sequence

from scanner.code_file import Called, Method
from scanner.effects import Site, call, copy, keep, nothing, taken_apart
from scanner.frames import Budget, BudgetError, Event, Frame, Names, Paths
from scanner.framework import PACKAGES
from scanner.memory import Fields, Origins, Runs
from scanner.program import Program
from scanner.values import ARRAY, EMPTY, Value, mixed, put_into

MAXIMUM_EVENTS = 4_000
"""Noted in one walk."""
MAXIMUM_TRACE = 12_000
"""Events of one walk in their order, with what happens again."""
ALL = 1_000_000
"""A reach without an end but that of `scanner.memory.MAXIMUM_NESTED`."""
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
        hands_on: Callable[[Method], bool],
        reach: int,
        user_acts: bool,
    ) -> None:
        self._program = program
        self._noted = noted
        self._budget = budget
        self._hands_on = hands_on
        self._reach = reach
        self._is_bounded = 0 < reach < ALL
        self._user_acts = user_acts
        self.events: list[Event] = []
        """Each once; the number of an event is its place here."""
        self.trace: list[int | tuple[int, int]] = []
        """Their order: the number of an event, or from where to where in here it goes again."""
        self._origins = Origins()
        self._fields = Fields(self._origins)
        self._runs = Runs(self._origins, self._fields, budget)
        self._followed: dict[tuple[str, frozenset[int], int, int], tuple[int, int]] = {}

    def start(self, method: Method, kind: str) -> None:
        """Walk from *method* on, in an object of class *kind*."""
        if self._user_acts or method.name not in USER_ACTS:
            self._enter(method, [Value(kind=kind)], 0)

    def _enter(self, method: Method, arguments: Sequence[Value], depth: int) -> Value:
        """Return what *method* gives; what it does is walked once for the same arguments."""
        body, runs = self._program.body(method.file, method.code_at), self._runs
        arguments = arguments[: body.inputs]
        call = runs.call(method, arguments)
        known = runs.find(call, depth)
        if known is not None:
            self._repeat(known.begin, known.end)
            return known.given
        if runs.is_running(call):
            return mixed(arguments)
        runs.begin(call, len(self.trace))
        below = depth + self._cost(method)
        frame = Frame(body, method, arguments, below, self._noted[method.file])
        self._run(frame)
        given = frame.returned[0] if len(frame.returned) == 1 else mixed(frame.returned)
        runs.end(len(self.trace), depth, given)
        return given

    def _cost(self, method: Method) -> int:
        """Return how much deeper lies what *method* calls: nothing if it only hands on."""
        return int(not self._is_bounded or not self._hands_on(method))

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
                given = self._own(target, values, frame.below)
                if target.owner.startswith(PACKAGES) and "/support/" not in target.owner:
                    # Android's own class of that name runs, if it has one.
                    given = mixed((given, self._foreign(frame, site, names, values, called)))
                frame.result = given
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
        if depth > self._reach:
            self._runs.is_cut = True
            return mixed(values)
        return self._enter(target, values, depth)

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
                self._follow(holder, given, frame.below)
        return result

    def _follow(self, holder: str, given: Sequence[Value], depth: int) -> None:
        """Walk what the framework calls on an own object: any method but those of the user."""
        found = self._program.own_class(holder)
        if found is None or depth > self._reach:
            self._runs.is_cut |= found is not None
            return
        passed = Value(None, mixed(given).origins)
        key = (holder, passed.origins, depth, self._fields.changes)
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
                self._enter(method, [this, *[passed] * 6], depth)
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
        self._origins.add(frame.method.file, offset, values)
        self.events.append(Event(number, names, tuple(arguments), shown, frame.method, offset))
        return frozenset((number,))

    # --- fields ---

    def get_field(self, frame: Frame, at: int, row: int, key: str) -> Value:
        """Return what is known of a field."""
        known = self._fields.get(key)
        names = frame.noted[1].get(row)
        if not names:
            return known
        number = self.note(frame, at, names, [], "", True)
        return Value(None, known.origins | number, known.holds)

    def put_field(self, key: str, value: Value) -> None:
        """Keep *value* in a field."""
        self._fields.put(key, value)


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
