"""All routes of a server."""

from serving.server import health
from serving.server.protocols import tensorflow, torchserve, v2
from serving.server.router import Router
from serving.server.schema import docs
from serving.server.settings import ServerSettings

#: Modules with ``add(router, settings)``.
MODULES = (health, v2, tensorflow, torchserve, docs)


def router(settings: ServerSettings) -> Router:
    """A router with all routes that these settings enable."""
    made = Router()
    for module in MODULES:
        module.add(made, settings)
    return made
