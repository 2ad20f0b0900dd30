"""The web chat at `/`: static files, which load nothing from any other host."""

from pathlib import Path
from typing import Any

from litestar import Response, Router, get
from litestar.static_files import create_static_files_router

from steersman_server.auth import OPEN

WEB = Path(__file__).parent / "web"
HEADERS = {
    # nothing from elsewhere, nothing inline: labels and answers are untrusted text
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-cache",
}


def add_headers(response: Response[Any]) -> Response[Any]:
    """The same response, which may use nothing from elsewhere."""
    response.headers.update(HEADERS)
    return response


@get("/", sync_to_thread=True, media_type="text/html")
def index() -> Response[bytes]:
    """The page; it asks for the API key itself."""
    return Response((WEB / "index.html").read_bytes(), media_type="text/html")


def site() -> Router:
    """The routes of the web chat."""
    files = create_static_files_router("/web", [WEB], after_request=add_headers)
    return Router(
        "/", route_handlers=[index, files], after_request=add_headers, include_in_schema=False, opt=OPEN
    )
