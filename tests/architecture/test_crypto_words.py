"""Which hashes, ciphers and sources of chance our programs name, and where processes are started."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAMS = ("rules", "drivers", "edge_agent", "hub", "web", "deploy")  # simulators make up numbers on purpose
SOURCES = sorted(path for one in PROGRAMS for path in (ROOT / one).rglob("*.py") if "node_modules" not in path.parts)

HASHES = {"sha256", "sha384", "sha512", "file_digest"}
WEAK = {"MD5", "SHA1", "ECB", "PKCS1v15", "TripleDES", "ARC4", "Blowfish", "CAST5", "IDEA", "SEED", "DSAPrivateKey"}
GUESSABLE = {  # chance that anybody may guess
    "edge_agent/outflow.py": "when history begins to flow, so that gateways do not all begin at once",
    "edge_agent/publisher.py": "how long to wait before trying again",
    "hub/store/live.py": "how long to wait before trying again",
}
CIPHERS = {"AESGCM": ["deploy/care/lock.py", "hub/access/vault.py"]}  # the one that encrypts, and where
KINDS_OF_CIPHERS = {
    "AESGCM",
    "AESCCM",
    "AESSIV",
    "AESOCB3",
    "ChaCha20Poly1305",
    "Cipher",
    "Fernet",
    "algorithms",
    "modes",
}
CHANCE_BYTES_MIN = 16  # 128 bits
SHORT = {  # (file, bytes): why nobody gains by guessing
    ("hub/access/vault.py", 2): "tells keys of one day apart",
    ("web/errors.py", 4): "the reference of a bug",
}
OUTLETS = {
    "FileHandler",
    "basicConfig",
    "addHandler",
    "StreamHandler",
    "handlers",
    "fileConfig",
    "dictConfig",
    "syslog",
}
PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----\n[A-Za-z0-9+/]{40}")


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _tree(path: Path) -> ast.AST:
    return ast.parse(path.read_text("utf-8"))


def _names(path: Path) -> tuple[set[str], set[str]]:
    """The attributes taken of hashlib, and the names of all attributes and imports."""
    tree = _tree(path)
    attributes = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    hashes = {node.attr for node in attributes if isinstance(node.value, ast.Name) and node.value.id == "hashlib"}
    return hashes, {node.attr for node in attributes} | {one.rpartition(".")[2] for one in _imports(tree)}


def test_no_program_names_a_weak_hash_or_cipher() -> None:
    for path in SOURCES:
        hashes, names = _names(path)
        assert hashes <= HASHES, path
        assert not names & WEAK, path
        assert not [one for one in _imports(_tree(path)) if one.startswith("hashlib.")], path


def test_chance_that_must_not_be_guessed_comes_from_the_system() -> None:
    users = {_name(path) for path in SOURCES if "random" in {one.partition(".")[0] for one in _imports(_tree(path))}}
    assert users == set(GUESSABLE)


def test_one_cipher_encrypts_and_in_one_place() -> None:
    found: dict[str, list[str]] = {}
    for path in SOURCES:
        for name in _names(path)[1] & KINDS_OF_CIPHERS:
            found.setdefault(name, []).append(_name(path))
    assert found == CIPHERS


def _sizes(path: Path) -> Iterator[int | None]:
    """How many random bytes are asked for; None where the size is the library's own: 32."""
    constants = {
        target.id: node.value.value
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr.startswith("token_"):
            size = node.args[0] if node.args else None
            if isinstance(size, ast.Attribute):  # a constant of another module, which is looked at there
                continue
            yield size.value if isinstance(size, ast.Constant) else constants[size.id] if size else None  # type: ignore[attr-defined,misc]


def test_what_must_not_be_guessed_has_128_random_bits() -> None:
    found = {(_name(path), size) for path in SOURCES for size in _sizes(path)}
    assert len(found) > 8
    assert {one for one in found if one[1] is not None and one[1] < CHANCE_BYTES_MIN} == set(SHORT)


def test_the_log_goes_one_way_out_of_every_program() -> None:
    outlets = [_name(path) for path in SOURCES if _names(path)[1] & OUTLETS]
    assert [name for name in outlets if "logging" in (ROOT / name).read_text("utf-8")] == ["deploy/logs.py"]


def test_only_deploy_starts_processes() -> None:
    """And one driver: what cameras send is decoded in a process that may hang and crash."""
    starts = {"subprocess", "multiprocessing", "pty"}
    found = [_name(path) for path in SOURCES if {one.partition(".")[0] for one in _imports(_tree(path))} & starts]
    assert not [name for name in found if not name.startswith("deploy/")]
    calls = re.compile(r"\b(os\.(exec|spawn|fork)\w*|create_subprocess_\w+)\(")
    hit = [_name(path) for path in SOURCES if calls.search(path.read_text("utf-8"))]
    assert [name for name in hit if not name.startswith("deploy/")] == ["drivers/camera/process.py"]
    started = (ROOT / "drivers/camera/process.py").read_text("utf-8")
    assert (
        '            sys.executable, "-P", "-m", "drivers.camera.worker",\n' in started
    )  # itself, no shell, no argument


def test_no_private_key_is_in_the_repository() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    texts = [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]
    assert len(texts) > 200
    assert not [_name(path) for path in texts if PRIVATE_KEY.search(path.read_text("utf-8", errors="replace"))]
