"""One file of the user's to one document."""

import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

from ragkit.corpus.document import Document
from ragkit.corpus.files import MAX_FILE_BYTES, Unreadable, is_gzip, read_bytes, read_text, suffix

TITLE_WITHIN = 20_000
"""Characters at the start of a text in which its title is looked for."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """A file's text, its title ("" where it has none) and, of a PDF, its number of pages."""

    text: str
    title: str = ""
    pages: int | None = None


def can_parse(path: Path) -> bool:
    """Whether the file's ending is one of `PARSERS`, gzipped or not."""
    return suffix(path) in PARSERS


def parse_file(path: Path) -> Document:
    """Reads .txt, .md, .rst, .html, .pdf and .docx files, each possibly gzip-compressed.

    .txt, .md and .rst stay word for word what they are, so that offsets count characters in the user's own
    file; of HTML, PDF and DOCX the text is taken out. Any other ending is read as plain text. The id is the
    file's name; the title its own, or the name. Metadata: path, type, modified (ISO date), bytes; pages of
    a PDF.

    Raises `Unreadable` where the file cannot be read, is damaged, empty, too large, or not text in UTF-8 (or
    what its byte order mark says).
    """
    kind = suffix(path)
    try:
        parsed = PARSERS.get(kind, _plain)(path)
        stat = path.stat()
    except Unreadable:
        raise
    except Exception as error:  # a damaged file fails anywhere in a parser; it must not end a whole build
        raise Unreadable(path, f"damaged, or no {kind} file ({type(error).__name__})") from error
    if not parsed.text.strip():
        hint = "; if it was scanned, run OCR over it" if kind == ".pdf" else ""
        raise Unreadable(path, f"holds no text{hint}")
    metadata: dict[str, Any] = {
        "path": str(path),
        "type": kind.lstrip(".") or "txt",
        "modified": datetime.fromtimestamp(stat.st_mtime, UTC).date().isoformat(),
        "bytes": stat.st_size,
    }
    if parsed.pages is not None:
        metadata["pages"] = parsed.pages
    name = Path(path.stem).stem if is_gzip(path) else path.stem
    return Document(path.name, parsed.text, " ".join(parsed.title.split()) or name, metadata)


def _plain(path: Path) -> Parsed:
    return Parsed(read_text(path))


def _markdown(path: Path) -> Parsed:
    from markdown_it import MarkdownIt

    text = read_text(path)
    tokens = MarkdownIt().parse(text[:TITLE_WITHIN])
    heading = next((at for at, token in enumerate(tokens) if token.type == "heading_open"), None)
    return Parsed(text, "" if heading is None else tokens[heading + 1].content)


def _restructured(path: Path) -> Parsed:
    from docutils import nodes
    from docutils.core import publish_doctree
    from docutils.utils import SystemMessage

    text = read_text(path)
    quiet = {
        "report_level": 5,
        "halt_level": 5,
        "warning_stream": False,
        "file_insertion_enabled": False,  # a document must not read other files into itself
        "raw_enabled": False,
        "_disable_config": True,
    }
    try:
        tree = publish_doctree(text[:TITLE_WITHIN], settings_overrides=quiet)
    except (SystemMessage, ValueError, AttributeError, TypeError, AssertionError):
        return Parsed(text)  # docutils stumbles over the markup: the text is good all the same
    title = next(iter(tree.findall(nodes.title)), None)
    return Parsed(text, "" if title is None else title.astext())


BLOCKS = frozenset(
    "address article aside blockquote body br dd details div dl dt fieldset figcaption figure footer form "
    "h1 h2 h3 h4 h5 h6 header hr li main ol p pre section summary table tbody td tfoot th thead tr ul".split()
)
UNREAD = ("script", "style", "nav", "noscript", "template", "svg", "head")


def _html(path: Path) -> Parsed:
    from bs4 import BeautifulSoup

    content = read_bytes(path)
    if b"\0" in content[:1024] and content[:2] not in (b"\xff\xfe", b"\xfe\xff"):
        raise Unreadable(path, "binary, not HTML")
    soup = BeautifulSoup(content, "html.parser")  # finds the encoding that the page declares
    title = soup.title.get_text() if soup.title else ""
    heading = soup.find("h1")
    for tag in soup(UNREAD):
        tag.decompose()
    lines = (" ".join(line.split()) for line in "".join(_strings(soup)).split("\n"))
    text = "\n".join(line for line in lines if line)
    return Parsed(text, title.strip() or (heading.get_text() if heading else ""))


def _strings(tag: Any) -> Iterator[str]:
    """The text below a tag, with a line break around each block."""
    from bs4 import NavigableString, Tag
    from bs4.element import PreformattedString

    for child in tag.children:
        if isinstance(child, Tag):
            block = child.name in BLOCKS
            if block:
                yield "\n"
            yield from _strings(child)
            if block:
                yield "\n"
        elif isinstance(child, NavigableString) and not isinstance(child, PreformattedString):
            keeps_lines = child.find_parent("pre") is not None
            yield str(child) if keeps_lines else str(child).replace("\n", " ")


def _pdf(path: Path) -> Parsed:
    import pypdfium2

    try:
        pdf = pypdfium2.PdfDocument(read_bytes(path))
        try:
            pages = [page.get_textpage().get_text_bounded() for page in pdf]
            title = pdf.get_metadata_dict().get("Title", "")
        finally:
            pdf.close()
    except pypdfium2.PdfiumError as error:
        raise Unreadable(path, f"not a readable PDF ({error})") from error
    text = "\n\n".join(page.replace("\r\n", "\n").replace("\r", "\n") for page in pages)
    text = re.sub("\ufffe\n?", "", text)  # PDFium's mark for a hyphen that only a line's end called for
    return Parsed(text.replace("\0", ""), title, len(pages))


def _docx(path: Path) -> Parsed:
    import docx
    from docx.opc.exceptions import OpcError
    from docx.table import Table

    content = read_bytes(path)
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > MAX_FILE_BYTES:
                raise Unreadable(path, f"unpacks to more than {MAX_FILE_BYTES // 2**20} MiB")
        document = docx.Document(BytesIO(content))
        parts = [
            _table(part) if isinstance(part, Table) else part.text for part in document.iter_inner_content()
        ]
        title = document.core_properties.title
    except (zipfile.BadZipFile, zlib.error, OpcError, KeyError, ValueError, SyntaxError) as error:
        raise Unreadable(path, f"not a readable DOCX file ({error})") from error
    heading = next((part for part in parts if part.strip()), "")
    return Parsed("\n".join(part for part in parts if part.strip()), title or heading[:200])


def _table(table: Any) -> str:
    """A line a row, cells separated by tabs; a merged cell once."""
    rows = [list(dict.fromkeys(cell.text.strip() for cell in row.cells)) for row in table.rows]
    return "\n".join("\t".join(row) for row in rows)


PARSERS: dict[str, Callable[[Path], Parsed]] = {
    ".txt": _plain,
    ".text": _plain,
    ".md": _markdown,
    ".markdown": _markdown,
    ".rst": _restructured,
    ".html": _html,
    ".htm": _html,
    ".pdf": _pdf,
    ".docx": _docx,
}
"""By ending, .gz left aside."""
