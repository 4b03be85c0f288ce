"""The rules of the house: who may import whom, and no float where money is."""

import ast
from collections.abc import Collection, Iterable, Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

# One worker reads the sources.
pytestmark = pytest.mark.xdist_group("sources")

ROOT = Path(__file__).parent.parent
PACKAGES = ("voicehelper", "topup", "notifications", "llm", "storage_backends")

# What each part of the house may import of the others; the parts not named here may import any.
MAY_IMPORT = {
    "voicehelper.accounts": {"voicehelper.wallet", "notifications", "voicehelper"},
    # Accounts show the balance, so wallets do not know accounts: no circle.
    "voicehelper.wallet": {"notifications", "voicehelper"},
    "sandbox": set(),
    "voicehelper.embedded": set(),
    "notifications": {"voicehelper"},
    "topup": {"voicehelper.accounts", "voicehelper.wallet", "notifications", "voicehelper"},
    "storage_backends": {"voicehelper.accounts", "notifications", "voicehelper"},
    "llm": {"voicehelper.accounts", "voicehelper.wallet", "notifications", "storage_backends", "voicehelper"},
}
# Of some, only one room.
ONLY = {("llm", "storage_backends"): "storage_backends.services"}
# The two places that open outgoing connections, and the one that looks names up for them.
OPENS_CONNECTIONS = ("voicehelper.net.http", "voicehelper.net.http_async", "voicehelper.net.addresses")
# And the one that listens for those who come to us.
LISTENS = "voicehelper.serving"
# boto3 would open connections of its own: only here, where its pools are given sockets of http.py's.
USES_BOTO = "storage_backends.backends."
# What all of it stands on, and what stands on nothing of ours.
GROUND = (
    "voicehelper.net",
    "voicehelper.secrets",
    "voicehelper.clock",
    "voicehelper.typed",
    "voicehelper.database",
    "voicehelper.embedded",
)
# What the project has for all edges: what is below them knows of it only how often somebody may, and how refusals read.
KITS = ("voicehelper.admin", "voicehelper.api")
OF_KITS = ("voicehelper.api.ratelimit", "voicehelper.api.errors")
# And the libraries that edges are made of, but for the table of what operators did.
OF_EDGES = ("django.contrib.admin", "unfold", "rest_framework")
LOGGED = ("django.contrib.admin.models",)
# Inside an app: edges → services → models and gateways or providers.
ROOMS = {
    "topup.gateways": {"topup.money"},
    "topup.models": {"topup.pricing", "topup.money", "topup.models"},
    "topup.pricing": {"topup.money"},
    "topup.money": set(),
    "topup.services": {"topup.gateways", "topup.models", "topup.pricing", "topup.money"},
    "notifications.transports": set(),
    "notifications.models": {"notifications.texts"},
    "notifications.texts": set(),
    "notifications.events": set(),
    "storage_backends.backends": set(),
    "storage_backends.contents": set(),
    "storage_backends.models": set(),
    "llm.kinds": set(),
    "llm.providers": {"llm.kinds"},
    "llm.models": {"llm.kinds", "llm.kind_names"},
    "llm.relay.router": {"llm.relay.catalogue"},
    "llm.relay.catalogue": {"llm.providers.base", "llm.kinds"},
    "llm.relay.billing": {"llm.relay.catalogue", "llm.kinds"},
    "llm.relay": {"llm.providers", "llm.kinds", "llm.credentials", "llm.safety.guard"},
    "llm.dialects": {"llm.providers", "llm.relay"},
    "llm.labels": {"llm.providers.base", "llm.relay"},
    "llm.safety": {"llm.models", "llm.providers.base", "llm.relay"},
    "llm.chat": {"llm.models", "llm.providers.base", "llm.relay", "llm.services"},
    "voicehelper.accounts.wechat": set(),
}

# What people, programs, operators and the clock come in by. They call services; nothing but the routes calls them.
EDGES = {"api", "pages", "admin", "tasks", "management"}
# A button of the admin that only queues a task.
QUEUES = {("topup.admin.reconciliation", "topup.tasks")}
# Where a server answers before Django.
FRONT_DOOR = "voicehelper.asgi"
# How an API's requests say who they are, which the settings name; and a role of which whatever has a page is granted.
AT_THE_EDGE = {"voicehelper.accounts.authentication", "voicehelper.accounts.roles"}


def modules() -> Iterator[tuple[str, Path]]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            if "migrations" not in path.parts:
                name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
                yield name.removesuffix(".__init__"), path


def packages() -> list[str]:
    return [name for name, path in modules() if path.name == "__init__.py"]


def is_in(module: str, rooms: Iterable[str]) -> bool:
    return any(module == room or module.startswith(f"{room}.") for room in rooms)


def imports(name: str, path: Path, *, types: bool = True) -> Iterator[str]:
    """Every module that a file imports, inside functions too, relative ones resolved; and for its `types` only."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree if types else _WithoutTypes().visit(tree)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.rsplit(".", node.level - 1)[0] if node.level > 1 else package
            module = f"{base}.{node.module}" if node.level and node.module else node.module or base
            yield from (f"{module}.{alias.name}" for alias in node.names)


class _WithoutTypes(ast.NodeTransformer):
    """What runs."""

    def visit_If(self, node: ast.If) -> ast.AST:
        only_types = isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        return ast.Module(node.orelse, []) if only_types else self.generic_visit(node)


@cache
def every_import() -> list[tuple[str, str]]:
    """Who imports whom."""
    return [(name, imported) for name, path in modules() for imported in imports(name, path)]


@cache
def part_of(module: str) -> str:
    """The part of the house a module belongs to: an app, or the project package itself."""
    parts = [part for part in (*MAY_IMPORT, *PACKAGES) if module == part or module.startswith(f"{part}.")]
    return max(parts, key=len, default="")


def test_imports_go_one_way() -> None:
    for name, imported in every_import():
        own, part = part_of(name), part_of(imported)
        assert part != "sandbox" or own == "sandbox", f"{name} imports the sandbox"
        if own in MAY_IMPORT and part and part != own:
            assert part in MAY_IMPORT[own], f"{name} imports {imported}"
            assert imported.startswith(ONLY.get((own, part), "")), f"{name} imports {imported}"


def edge_of(module: str) -> tuple[str, str] | None:
    """The edge a module belongs to: its app and "api", "pages", … None for services and what is below them, and for
    the project's own kits, which all edges are built from."""
    app = part_of(module)
    room = module.removeprefix(f"{app}.").partition(".")[0]
    return (app, room) if room in EDGES and app != "voicehelper" else None


def test_edges_import_no_other_edge_and_nothing_below_them_imports_one() -> None:
    for name, imported in every_import():
        own = edge_of(name)
        if own is None and (name == FRONT_DOOR or name.rpartition(".")[2] in {"urls", "apps"}):
            continue
        known = any(name == source and imported.startswith(target) for source, target in QUEUES)
        assert known or edge_of(imported) in {None, own}, f"{name} imports {imported}"


def test_what_is_below_the_edges_knows_no_page_of_the_admin_and_no_request_of_an_api() -> None:
    for name, imported in every_import():
        if edge_of(name) or name.rpartition(".")[2] in {"urls", "apps"} or name in AT_THE_EDGE:
            continue
        if part_of(name) != "voicehelper":
            assert not is_in(imported, KITS) or is_in(imported, OF_KITS), f"{name} imports {imported}"
            assert not is_in(imported, OF_EDGES) or is_in(imported, LOGGED), f"{name} imports {imported}"


@pytest.mark.parametrize("room", GROUND)
def test_what_all_stand_on_imports_nothing_else_of_the_house(room: str) -> None:
    for name, imported in every_import():
        if is_in(name, (room,)):
            assert is_in(imported, GROUND) or not part_of(imported), f"{name} imports {imported}"


def test_every_room_has_a_rule() -> None:
    ruled = {*ROOMS, *GROUND, *KITS}
    for name in packages():
        own = name in PACKAGES or name in MAY_IMPORT or edge_of(name) is not None
        assert own or is_in(name, ruled), f"ROOMS says nothing of {name}"


def test_no_platform_knows_another() -> None:
    platforms = {name for name in packages() if name.startswith("topup.gateways.") and name.count(".") == 2}
    assert len(platforms) > 1
    for name, imported in every_import():
        others = {platform for platform in platforms if not is_in(name, (platform,))}
        known = is_in(name, platforms) and is_in(imported, others)
        assert not known, f"{name} imports {imported}"


def test_nobody_imports_in_a_circle() -> None:
    """Also not inside functions, where Python would not notice."""
    names = {name for name, _path in modules()}
    graph = {name: {module_of(found, names) for found in imports(name, path, types=False)} for name, path in modules()}
    TopologicalSorter({name: found - {name} for name, found in graph.items()}).prepare()


def module_of(imported: str, names: Collection[str]) -> str:
    """Where it is from; empty: it is nobody's of ours."""
    while imported and imported not in names:
        imported = imported.rpartition(".")[0]
    return imported


@pytest.mark.parametrize("room", ROOMS)
def test_the_rooms_of_an_app_are_kept(room: str) -> None:
    for name, imported in every_import():
        if is_in(name, (room,)) and part_of(imported) == part_of(room):
            assert is_in(imported, (room, *ROOMS[room])), f"{name} imports {imported}"


def test_gateways_and_transports_know_no_django_but_translations() -> None:
    for name, path in modules():
        if name.startswith(("topup.gateways", "notifications.transports", "voicehelper.accounts.wechat.")):
            found = {module for module in imports(name, path) if module.startswith("django")}
            assert found <= {"django.utils.translation.gettext_lazy", "django.utils.translation.gettext_noop"}, name


def test_nothing_but_http_opens_a_connection() -> None:
    """`requests`, `urllib` and sockets are used in OPENS_CONNECTIONS only (and by the stand-ins)."""
    for name, path in modules():
        if name in OPENS_CONNECTIONS or name == LISTENS or part_of(name) in ("sandbox", "voicehelper.embedded"):
            continue
        for module in imports(name, path):
            assert module.split(".")[0] not in {"requests", "urllib3", "aiohttp", "socket", "httpx"}, name
            assert not module.startswith(("urllib.request", "http.client")), name
            used = module.split(".")[0] in {"boto3", "botocore", "s3transfer", "storages"}
            assert not used or name.startswith(USES_BOTO), name


def test_F5_there_is_no_float_where_money_is() -> None:
    for name, path in modules():
        if not name.startswith(("topup", "voicehelper.wallet")):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            assert not (isinstance(node, ast.Constant) and type(node.value) is float), f"{name}:{node.lineno}"
            assert not (isinstance(node, ast.Name) and node.id == "float"), f"{name}:{node.lineno}"
            assert not (isinstance(node, ast.Attribute) and node.attr == "FloatField"), f"{name}:{node.lineno}"


def test_I7_no_sql_is_built_from_strings() -> None:
    """Every statement handed to a cursor is a constant; values travel as parameters."""
    for name, path in modules():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "execute":
                first = node.args[0] if node.args else None
                built = isinstance(first, ast.JoinedStr | ast.BinOp)
                called = isinstance(first, ast.Call)
                assert not built | called, f"{name}:{node.lineno} builds SQL"
