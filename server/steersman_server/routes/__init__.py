"""What each endpoint takes and gives; the work is elsewhere."""

from litestar import Router

from steersman_server.routes.chat import create_chat_completion
from steersman_server.routes.completions import create_completion
from steersman_server.routes.contrast import contrast
from steersman_server.routes.features import (
    get_dashboard,
    get_echoes,
    get_feature,
    get_map,
    get_neighbors,
    list_features,
    lookup,
    neighbors,
    rerank,
)
from steersman_server.routes.health import documents, health, metrics
from steersman_server.routes.inspection import attribute, inspect
from steersman_server.routes.logits import next_token_logits
from steersman_server.routes.models import get_model, list_models
from steersman_server.routes.sweeps import create_sweep
from steersman_server.routes.tokens import detokenize, tokenize, tokenizer_info
from steersman_server.routes.variants import (
    create_variant,
    delete_variant,
    get_variant,
    import_variants,
    list_variants,
    replace_variant,
)

ROUTES = {
    "chat": [
        create_chat_completion,
        create_completion,
        list_models,
        get_model,
        list_variants,
        get_variant,
        tokenize,
        detokenize,
        tokenizer_info,
    ],
    "inspect": [
        create_sweep,
        next_token_logits,
        list_features,
        get_feature,
        get_dashboard,
        get_neighbors,
        get_echoes,
        get_map,
        lookup,
        neighbors,
        rerank,
        inspect,
        attribute,
        contrast,
    ],
    "admin": [create_variant, replace_variant, delete_variant, import_variants, metrics],
    None: [health, documents],
}
"""By the role that a key needs; None asks for no key."""


def routes() -> list[Router]:
    """All of them, each saying which role it needs."""
    return [Router("/", route_handlers=handlers, opt={"role": role}) for role, handlers in ROUTES.items()]
