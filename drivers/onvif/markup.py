"""XML as a device sends it, read with distrust: no document types, no entities, nothing fetched, bounded size."""

from collections.abc import Iterator
from dataclasses import dataclass

from lxml import etree

from drivers.errors import MalformedError

ANSWER_BYTES_MAX = 1_000_000
NODES_MAX = 20_000
TEXT_CHARACTERS_MAX = 1_000  # of one value; none that is used is longer
KEPT = ("Name", "Value", "UtcTime", "PropertyOperation", "token")  # attributes; lists of them all are slow to make
_DOCTYPE = b"<!DOCTYPE"


@dataclass(frozen=True, slots=True)
class Node:
    """One element: its name without the prefix, its namespace, its text, the attributes of KEPT, its children."""

    name: str
    space: str = ""
    text: str = ""
    attributes: tuple[tuple[str, str], ...] = ()
    children: tuple["Node", ...] = ()

    def all(self, *path: str) -> Iterator["Node"]:
        """Give every element at the end of a path of names."""
        if not path:
            yield self
            return
        for child in self.children:
            if child.name == path[0]:
                yield from child.all(*path[1:])

    def first(self, *path: str) -> "Node | None":
        """Give the first element at the end of a path of names."""
        return next(self.all(*path), None)

    def said(self, *path: str) -> str:
        """Give the text of the first element at the end of a path, '' where there is none."""
        found = self.first(*path)
        return found.text if found is not None else ""

    def attribute(self, name: str) -> str:
        """Give an attribute, '' where there is none."""
        return dict(self.attributes).get(name, "")

    def walk(self) -> Iterator["Node"]:
        """Give the element and all below it."""
        yield self
        for child in self.children:
            yield from child.walk()


def parse(data: bytes, who: str) -> Node:
    """Read an answer; raises MalformedError with one sentence."""
    if len(data) > ANSWER_BYTES_MAX:
        raise MalformedError(f"{who} sent more than {ANSWER_BYTES_MAX} bytes for one answer")
    if _DOCTYPE in data[:ANSWER_BYTES_MAX].upper():
        raise MalformedError(f"{who} sent XML with a document type, which no ONVIF answer has")
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_comments=True, remove_pis=True
    )
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError):
        raise MalformedError(f"{who} sent an answer that is no XML") from None
    if root.getroottree().docinfo.doctype:  # in an encoding that hides it from a search for bytes
        raise MalformedError(f"{who} sent XML with a document type, which no ONVIF answer has")
    if sum(1 for _ in root.iter()) > NODES_MAX:
        raise MalformedError(f"{who} sent an answer of more than {NODES_MAX} elements")
    return _node(root)


def _node(element: etree.Element) -> Node:
    """Turn an element and its children into nodes; libxml2 lets nothing be nested deeper than 256."""
    name = etree.QName(element)
    return Node(
        name.localname,
        name.namespace or "",
        (element.text or "").strip()[:TEXT_CHARACTERS_MAX],
        tuple((key, value[:TEXT_CHARACTERS_MAX]) for key in KEPT if (value := element.get(key)) is not None),
        tuple(_node(child) for child in element if isinstance(child.tag, str)),
    )
