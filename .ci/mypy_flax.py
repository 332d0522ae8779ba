"""Tells mypy that what `flax.struct.dataclass` decorates has `replace`, which the decorator adds at run time."""

from collections.abc import Callable

from mypy.nodes import ARG_STAR2, Argument, Var
from mypy.plugin import ClassDefContext, Plugin
from mypy.plugins.common import add_method_to_class
from mypy.types import AnyType, TypeOfAny
from mypy.typevars import fill_typevars


def add_replace(context: ClassDefContext) -> None:
    """Adds `def replace(self, **changes: Any) -> Self`."""
    anything = AnyType(TypeOfAny.explicit)
    changes = Argument(Var("changes", anything), anything, None, ARG_STAR2)
    add_method_to_class(context.api, context.cls, "replace", [changes], fill_typevars(context.cls.info))


class FlaxReplace(Plugin):
    """The plugin's one hook."""

    def get_class_decorator_hook(self, fullname: str) -> Callable[[ClassDefContext], None] | None:
        """Asked of each decorator of a class."""
        return add_replace if fullname == "flax.struct.dataclass" else None


def plugin(version: str) -> type[Plugin]:
    """What mypy calls."""
    return FlaxReplace
