"""Values of any wire type, made from what msgspec knows of the type."""

from typing import Any

import msgspec
from hypothesis import strategies as st
from msgspec import inspect as mi

TEXTS = st.text(max_size=8)
JSONS = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | TEXTS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXTS, inner, max_size=2),
    max_leaves=4,
)


def values_of(kind: Any) -> st.SearchStrategy[Any]:
    """JSON that a type accepts, as Python's own values."""
    return _of(mi.type_info(kind), 4)


def _of(kind: mi.Type, depth: int) -> st.SearchStrategy[Any]:
    match kind:
        case mi.StructType():
            return _struct(kind, depth)
        case mi.Metadata(type=inner):
            return _of(inner, depth)
        case mi.UnionType(types=types):
            simple = [one for one in types if not _is_deep(one)] if depth <= 0 else []
            return st.one_of([_of(one, depth) for one in simple or types])
        case (
            mi.ListType(item_type=item) | mi.CollectionType(item_type=item) | mi.VarTupleType(item_type=item)
        ):
            most = kind.max_length if kind.max_length is not None else 3
            return st.lists(_of(item, depth - 1), min_size=kind.min_length or 0, max_size=min(3, most))
        case mi.TupleType(item_types=items):
            return st.tuples(*(_of(item, depth - 1) for item in items)).map(list)
        case mi.DictType(key_type=key, value_type=value):
            return st.dictionaries(_of(key, depth - 1), _of(value, depth - 1), max_size=2)
        case mi.LiteralType(values=options):
            return st.sampled_from(options)
        case _:
            return _scalar(kind)


def _scalar(kind: mi.Type) -> st.SearchStrategy[Any]:
    match kind:
        case mi.NoneType():
            return st.none()
        case mi.BoolType():
            return st.booleans()
        case mi.IntType(ge=low, le=high):
            return st.integers(low if low is not None else -9, high if high is not None else 2**40)
        case mi.FloatType(ge=low, gt=above, le=high):
            return st.floats(
                low if low is not None else above, high, exclude_min=above is not None, allow_nan=False,
                allow_infinity=False,
            )  # fmt: skip
        case mi.StrType(pattern=str() as pattern):
            return st.from_regex(pattern.replace("$", r"\Z"))
        case mi.StrType():
            return st.text(min_size=kind.min_length or 0, max_size=(kind.min_length or 0) + 8)
        case mi.AnyType():
            return JSONS
        case _:
            raise NotImplementedError(kind)


def _struct(kind: mi.StructType, depth: int) -> st.SearchStrategy[Any]:
    needed = {field.encode_name: _of(field.type, depth - 1) for field in kind.fields if field.required}
    optional = {
        field.encode_name: _of(field.type, depth - 1)
        for field in kind.fields
        if not field.required and (depth > 0 or not _is_deep(field.type))
    }
    if kind.tag_field is not None:
        needed[kind.tag_field] = st.just(kind.tag)
    found = st.fixed_dictionaries(needed, optional=optional)
    return (
        found.filter(lambda value: _accepts(kind.cls, value)) if hasattr(kind.cls, "__post_init__") else found
    )


def _accepts(cls: type, value: Any) -> bool:
    try:
        msgspec.convert(value, cls)
    except msgspec.ValidationError:
        return False
    return True


def _is_deep(kind: mi.Type) -> bool:
    match kind:
        case mi.StructType():
            return True
        case mi.Metadata(type=inner) | mi.ListType(item_type=inner) | mi.VarTupleType(item_type=inner):
            return _is_deep(inner)
        case mi.UnionType(types=types):
            return all(_is_deep(one) for one in types if not isinstance(one, mi.NoneType))
        case _:
            return False
