"""The smaller resources of a client."""

from steersman import calls
from steersman.resources.method import AsyncResource, Resource, awaited, sent


class Models(Resource):
    """`client.models`: what the server answers for."""

    list = sent(calls.list_models)
    get = sent(calls.get_model)


class AsyncModels(AsyncResource):
    """`client.models`: what the server answers for."""

    list = awaited(calls.list_models)
    get = awaited(calls.get_model)


class Variants(Resource):
    """`client.variants`: named sets of edits, kept by the server."""

    list = sent(calls.list_variants)
    get = sent(calls.get_variant)
    create = sent(calls.create_variant)
    replace = sent(calls.replace_variant)
    delete = sent(calls.delete_variant)
    import_ = sent(calls.import_variants)


class AsyncVariants(AsyncResource):
    """`client.variants`: named sets of edits, kept by the server."""

    list = awaited(calls.list_variants)
    get = awaited(calls.get_variant)
    create = awaited(calls.create_variant)
    replace = awaited(calls.replace_variant)
    delete = awaited(calls.delete_variant)
    import_ = awaited(calls.import_variants)


class Sweeps(Resource):
    """`client.sweeps`: one conversation under many sets of edits."""

    create = sent(calls.create_sweep)


class AsyncSweeps(AsyncResource):
    """`client.sweeps`: one conversation under many sets of edits."""

    create = awaited(calls.create_sweep)


class Root(Resource):
    """What a client does itself."""

    health = sent(calls.health)
    logits = sent(calls.next_tokens)
    tokenize = sent(calls.tokenize)
    detokenize = sent(calls.detokenize)
    tokenizer_info = sent(calls.tokenizer_info)


class AsyncRoot(AsyncResource):
    """What a client does itself."""

    health = awaited(calls.health)
    logits = awaited(calls.next_tokens)
    tokenize = awaited(calls.tokenize)
    detokenize = awaited(calls.detokenize)
    tokenizer_info = awaited(calls.tokenizer_info)
