"""`${NAME}` and `${NAME:-default}` in scalar values, after parsing: a secret cannot change the structure."""

import re
from collections.abc import Mapping

from gateway_core.config.problems import Path, Problems
from gateway_core.config.tree import Tree

# `$${` is a plain `${`. A default runs to the first closing brace.
_REFERENCE = re.compile(
    r"\$\$\{|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<default>:-[^}]*)?\}|(?P<bad>\$\{[^}]*\}?)"
)


def substituted(tree: Tree, environ: Mapping[str, str], problems: Problems, path: Path = ()) -> Tree:
    """The tree with every reference replaced; a missing variable is a problem that names it."""
    if isinstance(tree.value, dict):
        parts = {
            name: substituted(part, environ, problems, (*path, name)) for name, part in tree.value.items()
        }
        return Tree(parts, tree.place)
    if isinstance(tree.value, list):
        items = [substituted(part, environ, problems, (*path, at)) for at, part in enumerate(tree.value)]
        return Tree(items, tree.place)
    if not isinstance(tree.value, str) or "${" not in tree.value:
        return tree

    def replaced(found: re.Match[str]) -> str:
        name, default = found["name"], found["default"]
        if name is None and found["bad"] is None:
            return "${"
        if name is None:
            problems.add(tree.place, path, "write ${NAME} or ${NAME:-default}; $${ stands for a plain ${")
            return ""
        value = environ.get(name)
        if default is not None:
            return value or str(default[2:])
        if value is None:
            problems.add(tree.place, path, f"set {name} in the environment, or write ${{{name}:-a default}}")
            return ""
        return value

    return Tree(_REFERENCE.sub(replaced, tree.value), tree.place)
