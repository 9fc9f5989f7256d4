"""Lines of a text file, whatever program saved it: UTF-8, UTF-16 or cp1252, also under gzip."""

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kia.errors import DataError

LINE_LIMIT = 1 << 22
"""Characters of a line, and of a row of a CSV."""

_CHUNK = 1 << 18  # bytes
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def require_file(path: Path) -> None:
    """Refuses at once what is no regular file: a pipe would wait for ever.

    Raises:
        DataError: It is missing, a folder, a pipe or a device.
    """
    try:
        if path.is_dir():
            raise DataError(f"{path}: is a folder; name a file")
        if not path.exists():
            raise DataError(f"{path}: no such file")
        if not path.is_file():
            raise DataError(f"{path}: is a pipe or a device; save it as a file first")
    except (OSError, ValueError) as error:  # a loop of links, a name with a NUL
        raise DataError(f"{path}: {getattr(error, 'strerror', None) or error}") from None


@contextmanager
def reading(path: Path, kind: str) -> Iterator[None]:
    """Turns what can go wrong while a file is read into one line."""
    try:
        yield
    except (OSError, EOFError, ValueError, RecursionError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())[:200]
        raise DataError(f"{path}: not readable as {kind} ({reason})") from None


def read_text(path: Path) -> str:
    """A whole text file; DataError if it is none."""
    return "".join(TextFile(path).chunks())


class TextFile:
    """A text file that is decoded as it is read.

    Args:
        path: Packed by gzip or not.

    Attributes:
        encoding: "utf-8", "utf-8-sig", "utf-16" or "cp1252"; the last may show after many lines.
    """

    def __init__(self, path: Path) -> None:
        require_file(path)
        self.path = path
        self.encoding = "utf-8"
        self._ascii = True  # so far

    @property
    def remarks(self) -> list[str]:
        """What to say of the encoding, once all is read; nothing of UTF-8."""
        names = {"cp1252": "cp1252", "utf-16": "UTF-16"}
        return [f"read as {names[self.encoding]}"] if self.encoding in names else []

    def lines(self) -> Iterator[str]:
        """Lines with their ends, which are \\n, \\r\\n or \\r.

        A line beyond `LINE_LIMIT` is the last one: cut off, and for the caller to refuse.
        """
        rest = ""
        for chunk in self.chunks():
            text = rest + chunk
            held = "\r" if text.endswith("\r") else ""  # its \n may follow
            rest = ""
            for line in io.StringIO(text.removesuffix("\r"), newline=""):
                if line.endswith(("\n", "\r")):
                    yield line
                else:
                    rest = line
            rest += held
            if len(rest) > LINE_LIMIT:
                break
        if rest:
            yield rest

    def chunks(self) -> Iterator[str]:
        """The text in pieces.

        Raises:
            DataError: It cannot be read, holds NUL bytes, or is neither UTF-8 nor cp1252.
        """
        with reading(self.path, "text"), self.path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            stream = gzip.GzipFile(fileobj=file) if packed else file
            chunk = stream.read(_CHUNK)
            self.encoding = next((name for b, name in _BOMS if chunk.startswith(b)), "utf-8")
            decoder = codecs.getincrementaldecoder(self.encoding)()
            while chunk:
                yield self._decoded(decoder, chunk)
                chunk = stream.read(_CHUNK)
            yield self._decoded(decoder, b"", final=True)

    def _decoded(
        self, decoder: codecs.IncrementalDecoder, chunk: bytes, final: bool = False
    ) -> str:
        if self.encoding == "cp1252":
            return self._cp1252(chunk)
        waiting = decoder.getstate()[0]
        try:
            text = decoder.decode(chunk, final)
        except UnicodeDecodeError as error:
            # One file has one encoding: cp1252 it is if all before was ASCII.
            if self.encoding != "utf-8" or not (
                self._ascii and error.object[: error.start].isascii()
            ):
                raise DataError(f"{self.path}: is not {self.encoding[:6].upper()} text") from None
            self.encoding = "cp1252"
            return self._cp1252(waiting + chunk)
        self._ascii = self._ascii and text.isascii()
        return self._checked(text)

    def _cp1252(self, chunk: bytes) -> str:
        try:
            return self._checked(chunk.decode("cp1252"))
        except UnicodeDecodeError:
            raise DataError(
                f"{self.path}: is neither UTF-8 nor cp1252 text; save it as UTF-8"
            ) from None

    def _checked(self, text: str) -> str:
        if "\0" in text:
            raise DataError(f"{self.path}: holds NUL bytes; it is no text file")
        return text
