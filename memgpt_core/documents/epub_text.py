"""EPUB: an archive of HTML pages in the order of its spine, each with its own headings.

A page without a heading takes its name from the book's table of contents. A file that names XML entities of its own is
not parsed.
"""

import posixpath
from urllib.parse import unquote
from xml.etree import ElementTree

from memgpt_core.documents.decoding import decoded
from memgpt_core.documents.html_text import add_html, declared_encoding
from memgpt_core.documents.parts import Draft, Extracted
from memgpt_core.documents.unpacking import broken, opened, unpacked

_READ = (".xhtml", ".html", ".htm", ".xml", ".opf", ".ncx")
_LOCKS = "META-INF/encryption.xml"


def read_epub(data: bytes) -> Extracted:
    """The book in `data`.

    Raises:
        NotReadable: it is broken or protected, or unpacks to too much.
    """
    files = unpacked(opened(data), lambda name: name.lower().endswith(_READ))
    place = next((file.get("full-path", "") for file in _all(_parsed(files, "META-INF/container.xml"), "rootfile")), "")
    package = _parsed(files, place)
    folder = posixpath.dirname(place)
    items = {item.get("id"): item for item in _all(package, "item")}
    spine = [
        _inside(folder, items[entry.get("idref")].get("href", ""))
        for entry in _all(package, "itemref")
        if entry.get("idref") in items
    ]
    locked = files.get(_LOCKS, b"").decode(errors="replace")
    named = _contents(files)
    draft = Draft()
    missing = 0
    for name in spine:
        if name not in files or (name in locked):
            missing += 1
        else:
            _add_page(draft, files[name], named.get(name, ""))
    if missing:
        draft.notes.append(f"{missing} of its {len(spine)} pages are missing or protected (DRM) and were left out.")
    title = next((" ".join((found.text or "").split()) for found in _all(package, "title")), "")
    return draft.finish(title, "application/epub+zip")


def _add_page(draft: Draft, page: bytes, name: str) -> None:
    source, notes = decoded(page, declared_encoding(page))
    draft.notes += [note for note in notes if note not in draft.notes]
    if name and "<h1" not in source.lower() and "<h2" not in source.lower():
        draft.section(1, name)
    add_html(draft, source)


def _contents(files: dict[str, bytes]) -> dict[str, str]:
    """The name of each page in the book's table of contents (of EPUB 2), the first where there are several."""
    named: dict[str, str] = {}
    for place in (name for name in files if name.lower().endswith(".ncx")):
        for point in _all(_parsed(files, place), "navPoint"):
            label = next((text.text or "" for text in _all(point, "text")), "")
            target = next((content.get("src", "") for content in _all(point, "content")), "")
            named.setdefault(_inside(posixpath.dirname(place), target), label)
    return named


def _inside(folder: str, reference: str) -> str:
    return posixpath.normpath(posixpath.join(folder, unquote(reference.partition("#")[0])))


def _parsed(files: dict[str, bytes], name: str) -> ElementTree.Element:
    source = files.get(name)
    if source is None or b"<!ENTITY" in source:
        raise broken()
    try:
        return ElementTree.fromstring(source)
    except (ElementTree.ParseError, ValueError, LookupError, RecursionError) as error:
        raise broken() from error


def _all(root: ElementTree.Element, tag: str) -> list[ElementTree.Element]:
    """The elements called `tag` in any namespace, in order."""
    return [element for element in root.iter() if str(element.tag).rpartition("}")[2] == tag]
