"""Reading a `curl` command line, as people and browsers copy it, as the request that it would send."""

from __future__ import annotations

import re
import shlex
from base64 import b64encode
from getopt import GetoptError, gnu_getopt
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

from ..delivery import header_pairs
from .request_files import SavedRequest

_DATA = ("data", "data-ascii", "data-raw", "data-binary", "json")
_SHORT = {"H": "header", "d": "data", "X": "request", "A": "user-agent", "e": "referer", "b": "cookie", "u": "user"}
_READ = (*_DATA, *_SHORT.values(), "url")
# Options that a command may also have, and that change nothing that is signed.
_IDLE = (
    *("silent", "show-error", "verbose", "include", "insecure", "location", "compressed", "fail", "globoff"),
    *("no-buffer", "no-progress-meter", "path-as-is", "ipv4", "ipv6", "http1.0", "http1.1", "http2", "http3"),
)
_IDLE_WITH_VALUE = (
    *("output", "write-out", "dump-header", "max-time", "connect-timeout", "retry", "proxy", "resolve"),
    *("connect-to", "unix-socket", "cacert", "cert", "key"),
)
_SHORT_OPTIONS = "H:d:X:A:e:b:sSvikLfgN046o:m:w:x:E:D:u:"
_LONG_OPTIONS = [*(f"{each}=" for each in (*_READ, *_IDLE_WITH_VALUE)), *_IDLE]

# A piece of a shell's words: $'...', '...', "...", a character behind a backslash, or what is long and has none of it.
_PIECE = re.compile(r"""\$'((?:[^'\\]|\\.)*)'|'[^']*'|"(?:[^"\\]|\\.)*"|\\\r?\n|\\.|[^\s'"\\$]{1000,}""", re.DOTALL)
_IN_QUOTES = re.compile(r"\\(?:([$`\"\\])|\r?\n)")
"""What a backslash escapes within double quotes: nothing else, and the end of a line is left out."""
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{1,4})|x([0-9a-fA-F]{1,2})|(.))", re.DOTALL)
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t", "0": "\0", "a": "\a", "b": "\b", "e": "\x1b", "f": "\f", "v": "\v"}


def is_curl(text: str) -> bool:
    """Whether a text is a curl command."""
    return re.match(r"\s*(\$\s+)?curl(\.exe)?\s", text) is not None


def from_curl(command: str, directory: Path | None = None) -> SavedRequest:
    """Return the request that a command sends; `$'...'` is read as bash does.

    As curl does it: `--data @file` loses its CRs, LFs and NULs, `--data-binary @file` and `--json @file` do not,
    several are joined by `&` (`--json` by nothing), and a header without a value is left out. A user with a password,
    by `--user` or in the URL, is an Authorization.

    Args:
        command: the command; a backslash may continue its lines.
        directory: the directory of the files named by `@file`; the current one if None.

    Raises:
        ValueError: the text is not a curl command, has an unknown option, or names a file that cannot be read.
    """
    if re.search(r"\s\^\r?\n|curl\S*\s+\^", command):
        raise ValueError("this curl command is for the shell of Windows (^): copy it as cURL (bash)")
    try:
        words = _words(command)
    except ValueError:
        raise ValueError("the curl command ends within quotes: give all of it, from curl on") from None
    words = words[words[0] == "$" if words else 0 :]
    if not words or words[0] not in ("curl", "curl.exe"):
        raise ValueError("this is no curl command: it does not begin with curl")
    try:
        options, urls = gnu_getopt(words[1:], _SHORT_OPTIONS, _LONG_OPTIONS)
    except GetoptError as error:
        name = f"{'--' if len(error.opt) > 1 else '-'}{error.opt}"
        raise ValueError(f"curl's option {name} is not understood here: leave it out") from None
    given = [(_SHORT.get(name.lstrip("-"), name.lstrip("-")), value) for name, value in options]
    urls += [value for name, value in given if name == "url"]
    if any(name == "user" and ":" not in value for name, value in given):
        raise ValueError("curl asks for the password of this user: give it as --user NAME:PASSWORD")
    if len(urls) > 1:
        raise ValueError("the curl command has several URLs: give it with one")
    url = urls[0] if urls else "/"
    body = _data([(name, value) for name, value in given if name in _DATA], directory or Path())
    headers = _headers(given, url, directory or Path())
    method = next((value for name, value in reversed(given) if name == "request"), "GET" if body is None else "POST")
    return SavedRequest(method, url, header_pairs(headers), body or b"")


def _words(command: str) -> list[str]:
    """Return the words of a command.

    `shlex` gets a mark in place of each piece: it takes the square of a word's length.

    Raises:
        ValueError: it ends within quotes.
    """
    mark = next(char for char in map(chr, range(0xF0000, 0x110000)) if char not in command)
    pieces: list[str] = []

    def marked(piece: re.Match[str]) -> str:
        if piece[0] in ("\\\n", "\\\r\n"):
            return ""
        pieces.append(_plain(piece))
        return f"{mark}{len(pieces) - 1}{mark}"

    words = shlex.split(_PIECE.sub(marked, command))
    return [re.sub(f"{mark}([0-9]+){mark}", lambda held: pieces[int(held[1])], word) for word in words]


def _plain(piece: re.Match[str]) -> str:
    """Return what a piece of the command stands for."""
    if piece[1] is not None:
        return _ESCAPE.sub(_character, piece[1])
    if piece[0].startswith('"'):
        return _IN_QUOTES.sub(lambda escape: escape[1] or "", piece[0][1:-1])
    if piece[0].startswith("'"):
        return piece[0][1:-1]
    return piece[0][1:] if piece[0].startswith("\\") else piece[0]


def _character(escape: re.Match[str]) -> str:
    if escape[1]:
        return chr(int(escape[1], 16))
    if escape[2]:
        code = int(escape[2], 16)
        return chr(code if code < 128 else 0xDC00 + code)  # a byte, which `surrogateescape` makes again
    return _ESCAPED.get(escape[3], escape[3])


def _data(given: list[tuple[str, str]], directory: Path) -> bytes | None:
    body: bytes | None = None
    for name, value in given:
        if value.startswith("@") and name != "data-raw":
            part = _file(value[1:], directory)
            if name not in ("data-binary", "json"):
                part = part.translate(None, b"\r\n\0")
        else:
            part = _bytes(value)
        joint = b"" if name == "json" else b"&"
        body = part if body is None else body + joint + part
    return body


def _headers(given: list[tuple[str, str]], url: str, directory: Path) -> list[tuple[str | bytes, str | bytes]]:
    """Return the given headers, and those that curl adds if they are not given."""
    lines: list[str] = []
    for name, value in given:
        if name == "header":
            lines += _file(value[1:], directory).decode("latin-1").splitlines() if value.startswith("@") else [value]
    headers: list[tuple[str | bytes, str | bytes]] = []
    for line in lines:
        name, colon, value = line.partition(":")
        if colon and value.strip():
            headers.append((name.strip(), _bytes(value.strip())))
        elif not colon and line.endswith(";"):
            headers.append((line[:-1].strip(), b""))
    names = {line.partition(":")[0].strip(" ;").lower() for line in lines}
    kinds = {name for name, _ in given}
    own = {name: value for name, value in given if name in ("user-agent", "referer", "cookie", "user")}
    if "json" in kinds:
        own |= {"content-type": "application/json", "accept": "application/json"}
    elif kinds & set(_DATA):
        own["content-type"] = "application/x-www-form-urlencoded"
    of_url, at, host = urlsplit(url if "://" in url else f"//{url}").netloc.rpartition("@")
    if host:
        own["host"] = host
    proof = _bytes(own.pop("user")) if "user" in own else unquote_to_bytes(of_url) + b":" * (":" not in of_url)
    if "user" in kinds or at:
        own["authorization"] = f"Basic {b64encode(proof).decode()}"
    return [*((name, _bytes(value)) for name, value in own.items() if name not in names), *headers]


def _file(name: str, directory: Path) -> bytes:
    if name == "-":
        raise ValueError("the body came from curl's standard input (@-): save it in a file, and name that")
    try:
        return directory.joinpath(name).read_bytes()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise ValueError(f"cannot read {name}, which the curl command names: {why}") from None


def _bytes(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
