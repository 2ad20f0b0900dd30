"""`client.features`: what can be seen and steered."""

from steersman import calls
from steersman.resources.method import AsyncResource, Resource, awaited, awaited_pages, paged, sent


class Features(Resource):
    """Find features, read them, relate them, and measure them on conversations."""

    search = paged(calls.search_features)
    list = paged(calls.list_features)
    get = sent(calls.get_feature)
    dashboard = sent(calls.dashboard)
    lookup = sent(calls.lookup)
    neighbors = sent(calls.neighbors)
    echoes = sent(calls.echoes)
    rerank = sent(calls.rerank)
    map = sent(calls.feature_map)
    inspect = sent(calls.inspect)
    attribute = sent(calls.attribute)
    contrast = sent(calls.contrast)


class AsyncFeatures(AsyncResource):
    """Find features, read them, relate them, and measure them on conversations."""

    search = awaited_pages(calls.search_features)
    list = awaited_pages(calls.list_features)
    get = awaited(calls.get_feature)
    dashboard = awaited(calls.dashboard)
    lookup = awaited(calls.lookup)
    neighbors = awaited(calls.neighbors)
    echoes = awaited(calls.echoes)
    rerank = awaited(calls.rerank)
    map = awaited(calls.feature_map)
    inspect = awaited(calls.inspect)
    attribute = awaited(calls.attribute)
    contrast = awaited(calls.contrast)
