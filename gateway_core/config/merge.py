"""A file on top of its base.

A name that is there keeps its position and merges its keys, a new one comes after, `false` removes one.
"""

from gateway_core.config.problems import Problems
from gateway_core.config.tree import Tree


def merged(base: Tree, top: Tree, problems: Problems) -> Tree:
    """One configuration of two. Lists and scalars of `top` replace those of `base`, mappings merge."""
    parts = dict(base.value)
    for name, part in top.value.items():
        if name == "plugins":
            below = parts.get("plugins")
            parts["plugins"] = _plugins({} if below is None else below.value, part, problems)
        elif name != "include":
            parts[name] = _over(parts.get(name), part)
    return Tree(parts, top.place)


def _plugins(base: dict[str, Tree], top: Tree, problems: Problems) -> Tree:
    plugins = dict(base)
    if top.value is not None and not isinstance(top.value, dict):
        problems.add(top.place, ("plugins",), "give a mapping from names to options, as `{text: {}}`")
        return Tree(plugins, top.place)
    for name, part in (top.value or {}).items():
        if part.value is False:
            if plugins.pop(name, None) is None:
                what = "there is no such plugin in what is included; delete this line"
                problems.add(part.place, ("plugins", name), what)
        elif part.value is None or part.value is True:
            plugins.setdefault(name, Tree({}, part.place))
        elif isinstance(part.value, dict):
            plugins[name] = _over(plugins.get(name), part)
        else:
            what = "give its options as a mapping ({} for none), or `false` to remove it"
            problems.add(part.place, ("plugins", name), what)
    return Tree(plugins, top.place)


def _over(below: Tree | None, above: Tree) -> Tree:
    if below is None or not isinstance(below.value, dict) or not isinstance(above.value, dict):
        return above
    parts = dict(below.value)
    for name, part in above.value.items():
        parts[name] = _over(parts.get(name), part)
    return Tree(parts, above.place)
