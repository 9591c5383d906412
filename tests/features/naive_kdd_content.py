"""The content columns of the kdd view, slow and obvious: strings, and the rules as sentences."""

import re

from tapwatch.features.kdd.rules import (
    CONTENT_COLUMNS,
    GUEST_NAMES,
    HOT_NAMES,
    IS_FLAG,
    RULES,
    Effect,
    Match,
    Protocol,
    Side,
    State,
)

TERMINALS = (Protocol.TELNET, Protocol.RLOGIN)
BLANKS = " \t"
#: Telnet commands: IAC, then a negotiation of an option, a subnegotiation, or one byte more.
TELNET = re.compile(
    rb"\xff(?:[\xfb-\xfe].?|\xfa(?:[^\xff]|\xff[^\xf0])*(?:\xff\xf0|\xff?$)|[^\xff]|$)", re.S
)
#: Control sequences of a terminal: CSI up to a final byte, a title up to a bell, or one byte more.
CONTROL = re.compile(rb"\x1b(?:\[[^@-~]*(?:[@-~]|$)|\][^\x07]*(?:\x07|$)|[^\[\]]|$)", re.S)


class Session:
    """One session; bytes come in the order in which they were sent."""

    def __init__(self, protocol: Protocol, limit: int = 65_536) -> None:
        self.protocol = protocol
        self.limit = limit
        self.columns = dict.fromkeys(CONTENT_COLUMNS, 0)
        self.state = State.IDLE
        self.name = ""
        self.seen = [b"", b""]  # every byte of a side so far
        self.done = [0, 0]  # characters of the text that were looked at
        self.line = ["", ""]
        self.is_due = self.is_head = self.is_authorized = False
        self.closed = [False, False]
        self.skip = [0, 0]
        self.part, self.length, self.chunked = ["start"] * 2, [-1, -1], [False, False]
        self.status = 0

    def send(self, way: int, data: bytes) -> None:
        """One side sends bytes."""
        for k in range(len(data)):
            if self.closed[way]:
                return
            if self.skip[way]:
                self.skip[way] -= 1
                continue
            if len(self.seen[way]) >= self.limit:
                self.closed[way] = True
                return
            self.seen[way] += data[k : k + 1]
            for byte in self._text(way):
                self._byte(way, byte)

    def _text(self, way: int) -> bytes:
        """Bytes of text that came with the last byte."""
        text = self.seen[way]
        if self.protocol is Protocol.TELNET:
            text = TELNET.sub(b"", text.replace(b"\xff\xff", b"\0\xfe\0"))
            text = text.replace(b"\0\xfe\0", b"\xff")
        if self.protocol in TERMINALS and way == 1:
            text = CONTROL.sub(b"", text)
        fresh = text[self.done[way] :]
        self.done[way] = len(text)
        return fresh

    def _byte(self, way: int, byte: int) -> None:
        is_typed = self.protocol in TERMINALS and way == 0
        if self.protocol in TERMINALS and way == 1:
            self.is_due = True
        if is_typed and self.is_due:
            self.is_due = False
            self._rules(Side.PROMPT, self.line[1])
        if is_typed and byte in b"\x08\x7f":
            self.line[0] = self.line[0][:-1]
        elif is_typed and byte in b"\x03\x15":
            self.line[0] = ""
        elif byte in (b"\n\r\0" if is_typed else b"\n"):
            if byte == 0 and self.protocol is Protocol.RLOGIN and len(self.seen[0]) == 1:
                self.state = State.CLIENT
            self._end(way)
        elif byte in b"\r\0":
            pass
        elif len(self.line[way]) < 256:
            character = chr(byte)
            self.line[way] += character.lower() if character.isascii() else character

    def _end(self, way: int) -> None:
        line = self.line[way].rstrip(BLANKS)
        self.line[way] = ""
        if self.protocol is Protocol.HTTP:
            self._http(way, line)
        else:
            self._rules(Side(way), line)

    def _rules(self, side: Side, line: str) -> None:
        line = line.rstrip(BLANKS)
        if not line:
            return
        before, counted = self.state, set()
        for rule in RULES:
            if self.protocol not in rule.protocols or side != rule.side or before not in rule.when:
                continue
            if any(matches(rule.match, literal, line) for literal in rule.literals):
                if rule.column and rule.column not in counted:
                    counted.add(rule.column)
                    self._count(rule.column)
                if rule.state is not None:
                    self.state = rule.state
                self._effect(rule.effect, int(side) % 2, words_of(line))

    def _count(self, column: str) -> None:
        self.columns[column] = 1 if column in IS_FLAG else self.columns[column] + 1

    def _effect(self, effect: Effect, way: int, words: list[str]) -> None:
        if effect in (Effect.NAME_0, Effect.NAME_1, Effect.NAME_2):
            wanted = effect - Effect.NAME_0
            self.name = words[wanted].strip('"') if len(words) > wanted else ""
        elif effect is Effect.SUCCESS:
            self._succeed()
        elif effect is Effect.FAILURE:
            self._fail()
        elif effect is Effect.ENCRYPTED:
            self.closed = [True, True]
        elif effect is Effect.SKIP:
            digits = re.match("[0-9]*", words[1] if len(words) > 1 else "")[0]
            self.skip[way] = min(int(digits or 0), 1 << 40)

    def _succeed(self) -> None:
        self._count("logged_in")
        if self.name in HOT_NAMES:
            self._count("is_host_login")
        if self.name in GUEST_NAMES:
            self._count("is_guest_login")
        if "root" in self.name:
            self._count("num_root")
        self.name = ""

    def _fail(self) -> None:
        self._count("num_failed_logins")
        is_shell = self.protocol in TERMINALS and self.columns["logged_in"]
        self.state = State.SHELL if is_shell else State.IDLE
        self.name = ""

    def _http(self, way: int, line: str) -> None:
        part = self.part[way]
        if part == "start" and line:
            self._http_start(way, line)
        elif part == "header" and line:
            self._http_header(way, *line.split(":", 1))
        elif part == "header":
            self._http_end(way)
        elif part == "chunk" and line:
            digits = re.match("[0-9a-f]*", line)[0]
            size = min(int(digits or "0", 16), 1 << 40)
            self.closed[way] = self.closed[way] or not digits
            if size:
                self.skip[way] = size
            elif digits:
                self.part[way] = "trailer"
        elif part == "trailer" and not line:
            self.part[way] = "start"

    def _http_header(self, way: int, name: str, value: str = "") -> None:
        if name == "transfer-encoding":
            self.chunked[way] = re.split("[, \t]", value)[-1] == "chunked"
        elif name == "authorization" and way == 0:
            self.is_authorized = True
        elif name == "content-length":
            digits = re.match("[0-9]*", value.lstrip(" \t"))[0]
            self.length[way] = min(int(digits), 1 << 40) if digits else -1

    def _http_start(self, way: int, line: str) -> None:
        self.part[way], self.length[way], self.chunked[way] = "header", -1, False
        if way == 0:
            self.is_head = line.startswith("head ")
            self.is_authorized = False
            self._rules(Side.ORIGINATOR, line)
        elif line.startswith("http/"):
            found = re.match("http/[^ ]* ([0-9]+)", line)
            self.status = min(int(found[1]), 999) if found else 0
        else:
            self.closed[1] = True

    def _http_end(self, way: int) -> None:
        self.part[way] = "start"
        if way == 1:
            if 200 <= self.status < 400:
                self._succeed()
            elif self.status == 401 and self.is_authorized:
                self._fail()
            if self.status == 101:
                self.closed = [True, True]
            if self.status < 200 or self.status in (204, 304) or self.is_head:
                return
        if self.chunked[way]:
            self.part[way] = "chunk"
        elif self.length[way] >= 0:
            self.skip[way] = self.length[way]
        elif way == 1:
            self.closed[1] = True


def words_of(line: str) -> list[str]:
    """Words between blanks."""
    return [word for word in re.split(f"[{BLANKS}]+", line) if word]


def matches(match: Match, literal: str, line: str) -> bool:
    """Whether a line is as a rule says."""
    words = words_of(line)
    return {
        Match.ANY: True,
        Match.EQUALS: line == literal,
        Match.STARTS: line.startswith(literal),
        Match.CONTAINS: literal in line,
        Match.ENDS: line.endswith(literal),
        Match.WORD: words[:1] == [literal],
        Match.SECOND: words[1:2] == [literal] and words[0] not in ("*", "+"),
    }[match]
