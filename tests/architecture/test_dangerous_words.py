"""What no program of ours says: unsafe readers, shells, unchecked certificates, ways out that nobody watches."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("rules", "drivers", "edge_agent", "hub", "web", "simulators", "deploy")
SOURCES = sorted(
    path for folder in PACKAGES for path in (ROOT / folder).rglob("*.py") if "node_modules" not in path.parts
)

# What reads more than data: entities and files of XML, objects of pickle.
UNSAFE_READERS = {"xml", "lxml", "pickle", "marshal", "shelve", "dill", "jsonpickle"}
# What calls other machines over HTTP; only hub.outbound checks whom.
HTTP_CLIENTS = {
    "httpx", "httpcore", "requests", "urllib3", "aiohttp", "urllib.request", "http.client", "xmlrpc", "ftplib",
    "authlib.integrations.requests_client",
}  # fmt: skip
XML_ALLOWED = {
    "drivers/onvif/markup.py": "reads what devices send: no document types, no entities, no network, bounded",
    "drivers/onvif/soap.py": "writes questions",
    "simulators/onvif_soap.py": "the other side, on loopback",
}
HTTP_ALLOWED = {
    "drivers/onvif/transport.py": "asks a device on the site's own network; bounded, no redirects, no other host",
    "hub/outbound.py": "the one way out",
    "deploy/demo.py": "asks its own web server on 127.0.0.1 whether it is up",
}
FORBIDDEN_CALLS = {
    "eval", "exec", "os.system", "os.popen", "yaml.load", "yaml.load_all", "yaml.unsafe_load", "yaml.full_load",
    "tempfile.mktemp", "ssl._create_unverified_context", "asyncio.create_subprocess_shell", "subprocess.getoutput",
}  # fmt: skip
SAFE_LOADER = {"yaml.BaseLoader", "yaml.SafeLoader"}  # make text, lists, mappings and numbers, no objects
FORBIDDEN_OPTIONS = {"shell": True, "verify": False, "check_hostname": False, "autoescape": False}


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _named(imported: str, forbidden: set[str]) -> bool:
    return any(imported == one or imported.startswith(f"{one}.") for one in forbidden)


def _calls(tree: ast.AST) -> Iterator[ast.Call]:
    yield from (node for node in ast.walk(tree) if isinstance(node, ast.Call))


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_no_program_says_what_is_dangerous(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    imports = set(_imports(tree))
    if _name(path) not in XML_ALLOWED:
        assert not [one for one in imports if _named(one, UNSAFE_READERS)]
    if _name(path) not in HTTP_ALLOWED:
        assert not [one for one in imports if _named(one, HTTP_CLIENTS)], "go out by hub.outbound"
    said = {ast.unparse(call.func) for call in _calls(tree) if not SAFE_LOADER & set(map(ast.unparse, call.args))}
    assert not said & FORBIDDEN_CALLS
    options = {
        (word.arg, word.value.value)
        for call in _calls(tree)
        for word in call.keywords
        if isinstance(word.value, ast.Constant)
    }
    assert not [one for one in FORBIDDEN_OPTIONS.items() if one in options]
    assert "CERT_NONE" not in {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}


def test_every_exception_is_still_needed() -> None:
    for allowed, forbidden in ((HTTP_ALLOWED, HTTP_CLIENTS), (XML_ALLOWED, UNSAFE_READERS)):
        for name in allowed:
            imports = set(_imports(ast.parse((ROOT / name).read_text("utf-8"))))
            assert [one for one in imports if _named(one, forbidden)], name


@pytest.mark.parametrize("path", sorted((ROOT / "web" / "templates").rglob("*.html")), ids=_name)
def test_only_words_of_the_template_itself_are_translated_as_markup(path: Path) -> None:
    """What ``_()`` is given counts as markup, and % in it as a placeholder: for anything else there is ``|said``."""
    assert not re.search(r"\b_\((?![\"'])|\b_\([\"'][^\"']*[\"']\s*[~%+]|gettext\(", path.read_text("utf-8"))
