import gzip
import io
import zipfile
from pathlib import Path

import docx
import pytest

from ragkit.corpus import files
from ragkit.corpus.files import Unreadable
from ragkit.corpus.parsing import parse_file


def pdf(text: str, title: str) -> bytes:
    """A PDF of one page, written by hand."""
    content = f"BT /F1 12 Tf 72 700 Td ({text}) Tj ET".encode()
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R"
        b" /Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        b"<< /Title (%s) >>" % title.encode(),
    ]
    out, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    start = len(out)
    out += b"xref\n0 7\n0000000000 65535 f \n" + table
    return out + b"trailer << /Size 7 /Root 1 0 R /Info 6 0 R >>\nstartxref\n%d\n%%%%EOF\n" % start


@pytest.mark.parametrize(
    ("name", "text", "title"),
    [
        ("a note.txt", "One\r\n\ttwo  three \n", "a note"),
        ("a.md", "intro\n\n# The *first* heading\n\n## Second\n", "The *first* heading"),
        ("b.md", "no heading", "b"),
        ("a.rst", "Top title\n=========\n\n.. include:: /etc/passwd\n\n:bad:`role`\n", "Top title"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_text_is_kept_word_for_word(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str, text: str, title: str, packed: bool
) -> None:
    path = tmp_path / (name + ".gz" if packed else name)
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    document = parse_file(path)
    assert (document.id, document.text, document.title) == (path.name, text, title)
    assert document.splittable
    assert document.metadata["path"] == str(path)
    assert document.metadata["type"] == Path(name).suffix[1:]
    assert document.metadata["bytes"] == path.stat().st_size
    assert len(document.metadata["modified"]) == len("2026-11-23")
    assert capfd.readouterr() == ("", "")


def test_html_leaves_out_what_is_no_text_and_parts_blocks(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(
        "<html><head><title>The\n title</title><style>p {}</style></head><body><nav>Home</nav>"
        "<h1>Heading</h1><p>One\nsentence <b>of</b> text.</p><script>x()</script>"
        "<!-- no --><ul><li>a<li>b</ul>"
        "<table><tr><td>c</td><td>d &amp; e</td></tr></table></body></html>"
    )
    document = parse_file(path)
    assert document.title == "The title"
    assert document.text == "Heading\nOne sentence of text.\na\nb\nc\nd & e"


def test_pdf(tmp_path: Path) -> None:
    path = tmp_path / "paper.pdf"
    path.write_bytes(pdf("Where is the Louvre", "A paper"))
    document = parse_file(path)
    assert (document.text.strip(), document.title) == ("Where is the Louvre", "A paper")
    assert (document.metadata["pages"], document.metadata["type"]) == (1, "pdf")


def test_docx(tmp_path: Path) -> None:
    word = docx.Document()
    word.add_heading("Report", 1)
    word.add_paragraph("Before the table.")
    table = word.add_table(1, 2)
    table.cell(0, 0).text, table.cell(0, 1).text = "left", "right"
    word.add_paragraph("After it.")
    path = tmp_path / "report.docx"
    word.save(str(path))
    document = parse_file(path)
    assert document.text == "Report\nBefore the table.\nleft\tright\nAfter it."
    assert document.title == "Report"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_tells_the_encoding(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("größer".encode(encoding))
    assert parse_file(path).text == "größer"


def empty_zip() -> bytes:
    buffer = io.BytesIO()
    zipfile.ZipFile(buffer, "w").close()
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("latin.txt", "größer".encode("latin-1"), "UTF-8"),
        ("picture.txt", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "binary"),
        ("nul.md", b"text \0 text", "binary"),
        ("half.txt.gz", gzip.compress(b"word " * 1000, mtime=0)[:30], "ends too early"),
        ("none.txt.gz", b"not gzip at all", "not a sound gzip"),
        ("broken.txt.gz", gzip.compress(b"word " * 1000, mtime=0)[:-8] + b"\0" * 8, "not a sound gzip"),
        ("blank.txt", b" \n", "holds no text"),
        ("junk.pdf", b"%PDF-1.4 junk", "PDF"),
        ("half.pdf", pdf("text", "title")[:60], "PDF"),
        ("junk.docx", b"junk", "DOCX"),
        ("empty.docx", empty_zip(), "DOCX"),
        ("deep.html", b"<div>" * 5000 + b"text", "damaged"),
    ],
)
def test_what_cannot_be_read_is_told_by_name_and_reason(
    tmp_path: Path, name: str, content: bytes, reason: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(Unreadable, match=reason) as caught:
        parse_file(path)
    assert name in str(caught.value) and "\n" not in str(caught.value)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="No such file"):
        parse_file(tmp_path / "none.txt")


def test_a_gzip_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_FILE_BYTES", 2**20)
    path = tmp_path / "bomb.txt.gz"
    path.write_bytes(gzip.compress(b" " * (2**20 + 1)))
    with pytest.raises(Unreadable, match="larger than 1 MiB"):
        parse_file(path)
