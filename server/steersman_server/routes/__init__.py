"""What each endpoint takes and gives; the work is elsewhere."""

from steersman_server.routes.chat import create_chat_completion
from steersman_server.routes.features import get_feature, list_features
from steersman_server.routes.health import health, metrics
from steersman_server.routes.models import get_model, list_models

ROUTES = [
    create_chat_completion,
    list_models,
    get_model,
    list_features,
    get_feature,
    health,
    metrics,
]
