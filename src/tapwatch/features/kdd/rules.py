"""How the content columns come from clear text: every rule, as data.

A rule looks at one line of one side, in lower case and without its end, while the session is in
one of certain states; where it matches, it counts into a column, has an effect, and sets a state.
All rules of a line are held against the state in which the line began; a line counts at most once
into a column, and the last state set is the one that stands. Of a line, the first 256 bytes count.

A prompt is what a Telnet or rlogin responder has written of an unfinished line, when the
originator's next byte comes.

HTTP: the rules see request lines. An answer of 200 to 399 is a success, 401 to a request with
`Authorization` a failure; bodies are stepped over by Content-Length and chunk lengths. An answer
is taken for that to the last request seen: where requests are sent before answers come, a HEAD
among them, bodies may be taken for answers, which ends the reading of that side, or answers for
bodies, which are then not counted.
"""

from enum import IntEnum
from typing import Final, NamedTuple

#: Columns 10 to 22, in order.
CONTENT_COLUMNS: Final = (
    "hot",
    "num_failed_logins",
    "logged_in",
    "num_compromised",
    "root_shell",
    "su_attempted",
    "num_root",
    "num_file_creations",
    "num_shells",
    "num_access_files",
    "num_outbound_cmds",
    "is_host_login",
    "is_guest_login",
)

#: Of these, columns that are 0 or 1.
IS_FLAG: Final = ("logged_in", "root_shell", "is_host_login", "is_guest_login")


class Protocol(IntEnum):
    """What the responder's port says is spoken."""

    FTP = 0
    TELNET = 1
    RLOGIN = 2
    SMTP = 3
    POP3 = 4
    IMAP = 5
    HTTP = 6


#: Ports of the responder whose payload is read.
PORTS: Final = {
    21: Protocol.FTP,
    23: Protocol.TELNET,
    513: Protocol.RLOGIN,
    25: Protocol.SMTP,
    587: Protocol.SMTP,
    110: Protocol.POP3,
    143: Protocol.IMAP,
    80: Protocol.HTTP,
    2784: Protocol.HTTP,
    8001: Protocol.HTTP,
    8080: Protocol.HTTP,
}


class Side(IntEnum):
    """Whose line it is."""

    ORIGINATOR = 0
    RESPONDER = 1
    PROMPT = 2


class State(IntEnum):
    """What a session waits for."""

    IDLE = 0
    NAME = 1  # asked for a user name
    PASSWORD = 2  # asked for a password
    LOGIN = 3  # the answer to a login will come
    MAIL = 4  # the answer to MAIL will come
    DATA = 5  # the answer to DATA will come
    BODY = 6  # the text of a message
    TLS = 7  # the answer to a wish for encryption will come
    SHELL = 8  # logged in
    ROOT = 9  # at a prompt of root
    CLIENT = 10  # rlogin's first string, then
    USER = 11  # the second
    TERMINAL = 12  # and the third


class Match(IntEnum):
    """How a literal is sought."""

    ANY = 0  # every line that is not empty
    EQUALS = 1
    STARTS = 2
    CONTAINS = 3
    ENDS = 4  # but for blanks
    WORD = 5  # the first word
    SECOND = 6  # the second word; the first is neither * nor +


class Effect(IntEnum):
    """What else a rule does."""

    NOTHING = 0
    NAME_0 = 1  # the user name is the first word,
    NAME_1 = 2  # the second
    NAME_2 = 3  # or the third, without quotation marks
    SUCCESS = 4  # logged_in; the name decides is_host_login, is_guest_login, and num_root
    FAILURE = 5  # num_failed_logins; back to SHELL after a success, else to IDLE
    ENCRYPTED = 6  # nothing of the session is read any more
    SKIP = 7  # as many bytes follow as the second word says, which are stepped over


#: User names of is_host_login, and of is_guest_login.
HOT_NAMES: Final = ("root", "toor", "adm", "admin", "administrator", "sysadm", "superuser")
GUEST_NAMES: Final = ("guest", "anonymous", "anon", "ftp", "visitor")
#: Part of a user name that counts into num_root when the login succeeds.
ROOT_NAME: Final = "root"


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_ACCESS_FILES: Final = _words(
    "etc/passwd etc%2fpasswd etc/shadow etc%2fshadow etc/group etc/sudoers hosts.equiv "
    "hosts.allow hosts.deny .rhosts .shosts .netrc .htaccess .htpasswd authorized_keys"
)
_SYSTEM_DIRECTORIES: Final = tuple(
    f"cd /{name}" for name in _words("bin boot dev etc lib proc root sbin sys usr var")
)
_HOT_PROGRAMS: Final = _words(
    "as cc g++ gcc ld make perl python chmod chown chroot crontab useradd adduser usermod passwd "
    "insmod modprobe mknod mount ifconfig route iptables tcpdump nmap nc netcat crack john gdb "
    "strace kill killall finger rpcinfo showmount ftp tftp telnet rlogin rsh rcp wget curl"
)
_CREATORS: Final = _words("cc g++ gcc cp mv touch mkdir")
_TRAVERSALS: Final = (
    *("../", "..\\", "..%2f", "%2e%2e", "/cgi-bin/phf", "/bin/sh", "cmd.exe"),
    "//////",
)

_SECRET: Final = (State.NAME, State.PASSWORD, State.CLIENT, State.USER, State.TERMINAL)
_COMMAND: Final = tuple(s for s in State if s not in (*_SECRET, State.BODY))
_CALM: Final = tuple(s for s in _COMMAND if s is not State.LOGIN)
_LOGIN: Final = (State.LOGIN,)
_TLS: Final = (State.TLS,)
_EVER: Final = tuple(State)


class Rule(NamedTuple):
    """One rule, for every literal in turn."""

    protocols: tuple[Protocol, ...]
    side: Side
    when: tuple[State, ...]
    match: Match
    literals: tuple[str, ...]
    column: str = ""
    effect: Effect = Effect.NOTHING
    state: State | None = None


def _orig(
    protocols: tuple[Protocol, ...],
    when: tuple[State, ...],
    match: Match,
    literals: tuple[str, ...],
    column: str = "",
    effect: Effect = Effect.NOTHING,
    state: State | None = None,
) -> Rule:
    return Rule(protocols, Side.ORIGINATOR, when, match, literals, column, effect, state)


def _resp(
    protocols: tuple[Protocol, ...],
    when: tuple[State, ...],
    match: Match,
    literals: tuple[str, ...],
    column: str = "",
    effect: Effect = Effect.NOTHING,
    state: State | None = None,
) -> Rule:
    return Rule(protocols, Side.RESPONDER, when, match, literals, column, effect, state)


def _prompt(
    when: tuple[State, ...],
    literals: tuple[str, ...],
    column: str = "",
    effect: Effect = Effect.NOTHING,
    state: State | None = None,
) -> Rule:
    return Rule(_TERMINALS, Side.PROMPT, when, Match.ENDS, literals, column, effect, state)


_TERMINALS: Final = (Protocol.TELNET, Protocol.RLOGIN)
_FTP, _SMTP, _POP3, _IMAP = (
    (p,) for p in (Protocol.FTP, Protocol.SMTP, Protocol.POP3, Protocol.IMAP)
)
_RLOGIN, _HTTP = (Protocol.RLOGIN,), (Protocol.HTTP,)
_M, _E, _S = Match, Effect, State

_OF_FTP: Final = (
    _orig(_FTP, _COMMAND, _M.ANY, ("",), state=_S.IDLE),
    _orig(_FTP, _COMMAND, _M.WORD, ("user",), effect=_E.NAME_1, state=_S.LOGIN),
    _orig(_FTP, _COMMAND, _M.WORD, ("pass", "acct"), state=_S.LOGIN),
    _orig(_FTP, _COMMAND, _M.WORD, ("auth",), state=_S.TLS),
    _orig(_FTP, _COMMAND, _M.WORD, ("cwd", "xcwd", "cdup", "xcup"), "hot"),
    _orig(_FTP, _COMMAND, _M.STARTS, ("site exec",), "hot"),
    _orig(
        _FTP,
        _COMMAND,
        _M.WORD,
        ("stor", "stou", "appe", "mkd", "xmkd", "rnto"),
        "num_file_creations",
    ),
    _orig(_FTP, _COMMAND, _M.CONTAINS, ("outbound",), "num_outbound_cmds"),
    _resp(_FTP, _LOGIN, _M.STARTS, ("230", "232"), effect=_E.SUCCESS, state=_S.IDLE),
    _resp(_FTP, _LOGIN, _M.STARTS, ("530", "430"), effect=_E.FAILURE),
    _resp(_FTP, _TLS, _M.STARTS, ("234",), effect=_E.ENCRYPTED),
)

_OF_TERMINALS: Final = (
    _prompt(_EVER, ("login:", "username:", "user name:"), state=_S.NAME),
    _prompt(_EVER, ("password:",), state=_S.PASSWORD),
    _prompt(_LOGIN, ("$", "%", ">"), effect=_E.SUCCESS, state=_S.SHELL),
    _prompt((_S.ROOT,), ("$", "%", ">"), state=_S.SHELL),
    _prompt(_LOGIN, ("#",), "root_shell", _E.SUCCESS, _S.ROOT),
    _prompt((_S.SHELL, _S.ROOT), ("#",), "root_shell", state=_S.ROOT),
    _orig(_RLOGIN, (_S.CLIENT,), _M.ANY, ("",), state=_S.USER),
    _orig(_RLOGIN, (_S.USER,), _M.ANY, ("",), effect=_E.NAME_0, state=_S.TERMINAL),
    _orig(_RLOGIN, (_S.TERMINAL,), _M.ANY, ("",), state=_S.LOGIN),
    _orig(_TERMINALS, (_S.NAME,), _M.ANY, ("",), effect=_E.NAME_0, state=_S.LOGIN),
    _orig(_TERMINALS, (_S.PASSWORD,), _M.ANY, ("",), state=_S.LOGIN),
    _orig(_TERMINALS, (_S.ROOT,), _M.ANY, ("",), "num_root"),
    _orig(
        _TERMINALS,
        _COMMAND,
        _M.EQUALS,
        ("su", "su -", "su -l", "su root", "su - root", "su -l root"),
        "su_attempted",
    ),
    _orig(_TERMINALS, _COMMAND, _M.STARTS, _SYSTEM_DIRECTORIES, "hot"),
    _orig(_TERMINALS, _COMMAND, _M.STARTS, ("./", "/tmp/", "/var/tmp/"), "hot"),
    _orig(_TERMINALS, _COMMAND, _M.WORD, _HOT_PROGRAMS, "hot"),
    _orig(_TERMINALS, _COMMAND, _M.WORD, _CREATORS, "num_file_creations"),
    _orig(_TERMINALS, _COMMAND, _M.STARTS, ("cat >", "cat>"), "num_file_creations"),
    _resp(
        _TERMINALS,
        _LOGIN,
        _M.CONTAINS,
        (
            *("login incorrect", "login failed", "login invalid", "invalid login"),
            *("incorrect password", "authentication failure", "access denied"),
        ),
        effect=_E.FAILURE,
    ),
    _resp(_TERMINALS, _EVER, _M.CONTAINS, ("last login:",), "num_shells"),
    _resp(
        _TERMINALS,
        (_S.IDLE, _S.LOGIN),
        _M.CONTAINS,
        ("last login:",),
        effect=_E.SUCCESS,
        state=_S.SHELL,
    ),
    _resp(_TERMINALS, _EVER, _M.CONTAINS, ("uid=0(",), "root_shell"),
    _resp(_TERMINALS, _EVER, _M.CONTAINS, ("[new file]",), "num_file_creations"),
)

_OF_MAIL: Final = (
    _orig(_SMTP, _CALM, _M.ANY, ("",), state=_S.IDLE),
    _orig(_SMTP, _COMMAND, _M.WORD, ("mail",), state=_S.MAIL),
    _orig(_SMTP, _COMMAND, _M.WORD, ("data",), state=_S.DATA),
    _orig(_SMTP, _COMMAND, _M.WORD, ("auth",), state=_S.LOGIN),
    _orig(_SMTP, _COMMAND, _M.WORD, ("starttls",), state=_S.TLS),
    _orig(_SMTP, _COMMAND, _M.WORD, ("bdat",), effect=_E.SKIP),
    _orig(_SMTP, (_S.BODY,), _M.EQUALS, (".",), state=_S.IDLE),
    _orig(_SMTP, _COMMAND, _M.WORD, ("debug", "wiz", "vrfy", "expn"), "hot"),
    _orig(_SMTP, _COMMAND, _M.CONTAINS, ("<|", ":|", '"|'), "hot"),
    _orig(
        _SMTP,
        _COMMAND,
        _M.STARTS,
        ("rcpt to:<root", "rcpt to: <root", "vrfy root", "expn root"),
        "num_root",
    ),
    _resp(_SMTP, (_S.MAIL,), _M.STARTS, ("250",), effect=_E.SUCCESS, state=_S.IDLE),
    _resp(_SMTP, (_S.DATA,), _M.STARTS, ("354",), effect=_E.SUCCESS, state=_S.BODY),
    _resp(_SMTP, _LOGIN, _M.STARTS, ("4", "5"), state=_S.IDLE),
    _resp(_SMTP, _LOGIN, _M.STARTS, ("235",), effect=_E.SUCCESS, state=_S.IDLE),
    _resp(_SMTP, _LOGIN, _M.STARTS, ("535",), effect=_E.FAILURE),
    _resp(_SMTP, _TLS, _M.STARTS, ("220",), effect=_E.ENCRYPTED),
    _orig(_POP3, _CALM, _M.ANY, ("",), state=_S.IDLE),
    _orig(_POP3, _COMMAND, _M.WORD, ("user",), effect=_E.NAME_1),
    _orig(_POP3, _COMMAND, _M.WORD, ("apop",), effect=_E.NAME_1, state=_S.LOGIN),
    _orig(_POP3, _COMMAND, _M.STARTS, ("pass ", "auth "), state=_S.LOGIN),
    _orig(_POP3, _COMMAND, _M.WORD, ("stls",), state=_S.TLS),
    _resp(_POP3, _LOGIN, _M.STARTS, ("+ok",), effect=_E.SUCCESS, state=_S.IDLE),
    _resp(_POP3, _LOGIN, _M.STARTS, ("-err",), effect=_E.FAILURE),
    _resp(_POP3, _TLS, _M.STARTS, ("+ok",), effect=_E.ENCRYPTED),
    _orig(_IMAP, _CALM, _M.ANY, ("",), state=_S.IDLE),
    _orig(_IMAP, _COMMAND, _M.SECOND, ("login",), effect=_E.NAME_2, state=_S.LOGIN),
    _orig(_IMAP, _COMMAND, _M.SECOND, ("authenticate",), state=_S.LOGIN),
    _orig(_IMAP, _COMMAND, _M.SECOND, ("starttls",), state=_S.TLS),
    _resp(_IMAP, _LOGIN, _M.SECOND, ("ok",), effect=_E.SUCCESS, state=_S.IDLE),
    _resp(_IMAP, _LOGIN, _M.SECOND, ("no", "bad"), effect=_E.FAILURE),
    _resp(_IMAP, _TLS, _M.SECOND, ("ok",), effect=_E.ENCRYPTED),
)

_OF_SEVERAL: Final = (
    _orig(_HTTP, _COMMAND, _M.CONTAINS, _TRAVERSALS, "hot"),
    _orig(
        (*_FTP, *_TERMINALS, *_SMTP, *_HTTP),
        _COMMAND,
        _M.CONTAINS,
        _ACCESS_FILES,
        "num_access_files",
    ),
    _resp(
        (*_FTP, *_TERMINALS), _EVER, _M.CONTAINS, ("not found", "no such file"), "num_compromised"
    ),
)

RULES: Final = (*_OF_FTP, *_OF_TERMINALS, *_OF_MAIL, *_OF_SEVERAL)
