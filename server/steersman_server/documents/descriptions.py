"""What the fields of wire types mean, read from the docstrings under them."""

import ast
import inspect
from functools import cache

import msgspec


@cache
def field_descriptions(kind: type[msgspec.Struct]) -> dict[str, str]:
    """Descriptions of a type's fields by their names on the wire, inherited ones included."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if base is not msgspec.Struct and issubclass(base, msgspec.Struct):
            found |= _own(base)
    wire = dict(zip(kind.__struct_fields__, kind.__struct_encode_fields__, strict=True))
    return {wire[name]: text for name, text in found.items() if name in wire}


def _own(kind: type[msgspec.Struct]) -> dict[str, str]:
    tree = ast.parse(inspect.getsource(kind))
    (definition,) = tree.body
    assert isinstance(definition, ast.ClassDef)
    found, last = {}, None
    for statement in definition.body:
        match statement:
            case ast.AnnAssign(target=ast.Name(id=name)):
                last = name
            case ast.Expr(value=ast.Constant(value=str(text))) if last is not None:
                found[last] = inspect.cleandoc(text)
                last = None
            case _:
                last = None
    return found
