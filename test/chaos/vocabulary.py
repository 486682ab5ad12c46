"""Programs: what the server does, when, and how often.

    status(503, {"Retry-After": "2"}) times 3; hang after 10 times 1; reset(20) probability 0.1 seed 7; ok

A program is a list of steps. The first step whose conditions hold acts; when none holds, the program of the next wider path
is asked ("/hooks/erp", then "/hooks/*", then "*"), and in the end the server answers ok. Steps are counted per program, from
the moment the program is set. The same can be written as JSON (README.md).
"""
import inspect
import json
import random
import re

import behaviours
import certificates

MAX_STEPS = 1000
MAX_PROGRAMS = 10000
_WORD = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]*)")
_BARE = re.compile(r"[A-Za-z0-9_./:+-]+")
_MODIFIERS = {"after": int, "times": int, "every": int, "probability": float, "seed": int, "delay": float, "containing": str}


def refuse(connection):
    """refuse resets a connection as soon as it is made."""


def silence(connection):
    """silence accepts a connection and neither reads nor writes."""


def down(connection, seconds: float = 0.0):
    """down closes every connection and the listening socket, once: real "connection refused", for some seconds or until a
    program is set."""


def tls(connection, kind: str = "good"):
    """tls chooses the certificate for connections that open with a TLS hello."""


CONNECTION_ACTIONS = {function.__name__: function for function in (refuse, silence, down, tls)}
COUNTED = ("refuse",)  # refuse(3) is read as refuse times 3


class ProgramError(ValueError):
    """A program that cannot be understood; the text says where and why."""


class Step:
    """One action with its conditions and its counters."""

    def __init__(self, name, args, kwargs, modifiers):
        function = behaviours.REQUEST_ACTIONS.get(name) or CONNECTION_ACTIONS.get(name)
        if function is None:
            known = ", ".join(sorted(list(behaviours.REQUEST_ACTIONS) + list(CONNECTION_ACTIONS)))
            raise ProgramError("unknown action %r; known are %s" % (name, known))
        self.name = name
        self.on_connection = name in CONNECTION_ACTIONS
        self.arguments = _bind(function, args, kwargs)
        self.function = function
        if name == "tls" and self.arguments.get("kind", "good") not in certificates.KINDS:
            raise ProgramError("unknown kind of tls; known are " + ", ".join(certificates.KINDS))
        self.after = modifiers.get("after", 0)
        self.times = modifiers.get("times")
        self.every = modifiers.get("every", 1)
        self.probability = modifiers.get("probability")
        self.delay = modifiers.get("delay", 0.0)
        self.containing = modifiers.get("containing")
        if self.every < 1 or self.after < 0 or self.delay < 0 or (self.times is not None and self.times < 0):
            raise ProgramError("%s: after, times and delay must not be negative, every must be at least 1" % name)
        if self.probability is not None and not 0 <= self.probability <= 1:
            raise ProgramError("%s: probability must be between 0 and 1" % name)
        if self.on_connection and (self.containing is not None or self.delay):
            raise ProgramError("%s acts on a connection, before there is a request: no delay, no containing" % name)
        self.random = random.Random(modifiers.get("seed", 1))
        self.needle = self.containing.encode("utf-8") if self.containing is not None else None
        self.seen = self.used = 0

    def applies(self, body):
        """applies counts one request or connection and says whether this step takes it."""
        if self.needle is not None and self.needle not in body:
            return False
        self.seen += 1
        if self.seen <= self.after or (self.times is not None and self.used >= self.times):
            return False
        if (self.seen - self.after - 1) % self.every:
            return False
        if self.probability is not None and self.random.random() >= self.probability:
            return False
        self.used += 1
        return True

    def describe(self):
        """describe returns the step with its counters."""
        fields = {"do": self.name, "args": self.arguments, "seen": self.seen, "used": self.used}
        for key in ("after", "times", "every", "probability", "delay", "containing"):
            if getattr(self, key) not in (None, 0, 0.0) and (key, getattr(self, key)) != ("every", 1):
                fields[key] = getattr(self, key)
        return fields


def _bind(function, args, kwargs):
    """_bind checks the arguments of an action against its declaration and names them."""
    signature = inspect.signature(function)
    try:
        bound = signature.bind(None, *args, **kwargs)
    except TypeError as error:
        raise ProgramError("%s: %s" % (function.__name__, error)) from error
    arguments = dict(bound.arguments)
    arguments.pop(next(iter(signature.parameters)))
    for name, value in arguments.items():
        wanted = signature.parameters[name].annotation
        if wanted is float and type(value) is int:
            continue
        if function is behaviours.retry_after and name == "value" and type(value) in (int, float):
            arguments[name] = str(value)
        elif type(value) is not wanted and value is not None:
            raise ProgramError("%s: %s must be of type %s" % (function.__name__, name, wanted.__name__))
    if "bps" in arguments and arguments["bps"] < 0 or function is behaviours.drip and arguments.get("bps", 1) == 0:
        raise ProgramError("%s: bps must be positive" % function.__name__)
    return arguments


class _Text:
    """Reads the text form of a program."""

    def __init__(self, text):
        self.text, self.at = text, 0

    def skip(self, characters=" \t\r\n"):
        while self.at < len(self.text) and self.text[self.at] in characters:
            self.at += 1
        return self.text[self.at] if self.at < len(self.text) else ""

    def fail(self, why):
        raise ProgramError("%s at position %d: %r" % (why, self.at, self.text[self.at:self.at + 20]))

    def word(self):
        match = _WORD.match(self.text, self.at)
        if not match:
            self.fail("a word is expected")
        self.at = match.end()
        return match.group(1)

    def value(self):
        """value reads a JSON value, or a bare word as a string."""
        self.skip()
        try:
            found, self.at = json.JSONDecoder().raw_decode(self.text, self.at)
            return found
        except ValueError:
            match = _BARE.match(self.text, self.at)
            if not match:
                self.fail("a value is expected")
            self.at = match.end()
            return match.group(0)

    def arguments(self):
        args, kwargs = [], {}
        if self.skip(" \t") != "(":
            return args, kwargs
        self.at += 1
        while self.skip() != ")":
            named = re.compile(r"([A-Za-z_]+)\s*=").match(self.text, self.at)
            if named:
                self.at = named.end()
                kwargs[named.group(1)] = self.value()
            else:
                args.append(self.value())
            if self.skip() == ",":
                self.at += 1
            elif self.skip() != ")":
                self.fail("a comma or ) is expected")
        self.at += 1
        return args, kwargs

    def step(self):
        name = self.word()
        args, kwargs = self.arguments()
        modifiers = {}
        while self.skip() not in ("", ";"):
            key = self.word()
            if key not in _MODIFIERS:
                self.fail("unknown condition %r before" % key)
            modifiers[key] = self.value()
        if self.skip() == ";":
            self.at += 1
        return name, args, kwargs, modifiers


def _make(name, args, kwargs, modifiers):
    for key, value in modifiers.items():
        wanted = _MODIFIERS[key]
        if wanted is str:
            modifiers[key] = value if isinstance(value, str) else json.dumps(value)
        elif isinstance(value, bool) or not isinstance(value, (int, float)) or (wanted is int and not isinstance(value, int)):
            raise ProgramError("%s: %s must be a number" % (name, key))
    if name in COUNTED and args:
        if len(args) > 1 or not isinstance(args[0], int):
            raise ProgramError("%s takes one whole number" % name)
        modifiers.setdefault("times", args[0])
        args = []
    if name == "down":
        modifiers.setdefault("times", 1)
    return Step(name, args, kwargs, modifiers)


def parse(program):
    """parse turns the text or JSON form of a program into steps."""
    steps = []
    if isinstance(program, str):
        text = _Text(program)
        while text.skip(" \t\r\n;"):
            steps.append(_make(*text.step()))
    elif isinstance(program, list):
        for entry in program:
            if not isinstance(entry, dict) or not isinstance(entry.get("do"), str):
                raise ProgramError('a step is an object with "do"')
            unknown = set(entry) - set(_MODIFIERS) - {"do", "args"}
            if unknown:
                raise ProgramError("unknown condition " + ", ".join(sorted(unknown)))
            args = entry.get("args", {})
            if not isinstance(args, (dict, list)):
                raise ProgramError('"args" is an object or an array')
            named = isinstance(args, dict)
            steps.append(_make(entry["do"], [] if named else list(args), dict(args) if named else {},
                               {key: entry[key] for key in _MODIFIERS if key in entry}))
    else:
        raise ProgramError("a program is a text or an array of steps")
    if len(steps) > MAX_STEPS:
        raise ProgramError("a program has at most %d steps" % MAX_STEPS)
    return steps


class Programs:
    """All programs of the server, by path."""

    def __init__(self):
        self.by_path = {}
        self.connection_steps = []

    def set(self, path, program):
        """set replaces the program of one path; "*" is everything and the only place for what acts on connections."""
        if not isinstance(path, str) or not (path == "*" or path.startswith("/")):
            raise ProgramError('a path starts with / or is "*"')
        steps = parse(program)
        if path != "*" and any(step.on_connection for step in steps):
            raise ProgramError('refuse, silence, down and tls act before a path is known: set them for "*"')
        if path not in self.by_path and len(self.by_path) >= MAX_PROGRAMS:
            raise ProgramError("too many programs")
        if path == "*":
            self.connection_steps = [step for step in steps if step.on_connection]
            steps = [step for step in steps if not step.on_connection]
        self.by_path[path] = steps

    def clear(self):
        """clear forgets every program: everything is ok again."""
        self.by_path, self.connection_steps = {}, []

    def for_connection(self):
        """for_connection returns the step that takes a new connection, if any."""
        return next((step for step in self.connection_steps if step.applies(b"")), None)

    def for_request(self, request):
        """for_request returns (path of the program, index, step) for a request, or None for plain ok."""
        for path in self._candidates(request.path):
            for index, step in enumerate(self.by_path.get(path, ())):
                if step.applies(request.body):
                    return path, index, step
        return None

    def _candidates(self, path):
        yield path
        if len(self.by_path) > ("*" in self.by_path) + (path in self.by_path):
            at = path.rfind("/")
            while at >= 0:
                yield path[:at + 1] + "*"
                at = path.rfind("/", 0, at)
        yield "*"

    def describe(self):
        """describe returns all programs with their counters."""
        found = {path: [step.describe() for step in steps] for path, steps in sorted(self.by_path.items())}
        if self.connection_steps:
            found["*"] = [step.describe() for step in self.connection_steps] + found.get("*", [])
        return found
