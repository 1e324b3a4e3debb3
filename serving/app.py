"""The HTTP application: routes, and what each answers."""

import json
from collections.abc import Callable
from contextlib import asynccontextmanager
from functools import partial
from importlib import resources
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException

from serving.guard import Guard, Limits, Refused
from serving.service import Service
from serving.wire import Answer, Doubt, Explanation, Problem, Question, Timeline

ABOUT = """What each user does next, from what happened until last night and since.

A user of last night is named by `user_id`, the id of the logs, or by `entity`, as `predictions` has it; `events` are what
happened since. Without a name `events` are all that is known. Scores are a model's own: compare those of one answer only."""
PROBLEMS: dict[int | str, dict[str, Any]] = {
    401: {"model": Problem, "description": "no API key, or another"},
    404: {"model": Problem, "description": "no such user, task or page"},
    413: {"model": Problem, "description": "a request that is too large"},
    415: {"model": Problem, "description": "a body that is not JSON"},
    422: {"model": Problem, "description": "a question that makes no sense"},
    503: {
        "model": Problem,
        "description": "overloaded, not ready or shutting down: `Retry-After` says when to ask again",
    },
}
PAGE = {"page.css": "text/css", "page.js": "text/javascript", "icon.svg": "image/svg+xml"}


class Direct(APIRoute):
    """A route from one body to one answer, both read and written by pydantic at once.

    FastAPI's own way, through dictionaries and back, takes as long as a model does.
    """

    def get_route_handler(self) -> Callable[[Request], Any]:
        assert self.body_field is not None
        kind, endpoint = self.body_field.field_info.annotation, self.endpoint
        assert isinstance(kind, type) and issubclass(kind, BaseModel)

        async def handler(request: Request) -> Response:
            if not request.headers.get("content-type", "").startswith("application/json"):
                raise Refused(
                    415, "not_json", "expected a body of JSON: send `Content-Type: application/json`"
                )
            answer = await endpoint(kind.model_validate_json(await request.body()))
            return Response(answer.model_dump_json(), media_type="application/json")

        return handler


def make_app(service: Service, limits: Limits) -> FastAPI:
    """The application; it starts and stops the service with itself."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> Any:
        service.start()
        yield
        service.stop()

    app = FastAPI(
        title="Footfall",
        description=ABOUT,
        version="1",
        lifespan=lifespan,
        docs_url=None,  # its page would load scripts from the internet
        redoc_url=None,
        responses={},
    )
    app.add_middleware(partial(Guard, limits=limits, metrics=service.metrics))
    app.add_exception_handler(ValidationError, _invalid)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(Refused, _refused)

    async def predictions(question: Question) -> Answer:
        """The best items of a user, by the champion of each task."""
        return await service.predictions(question)

    async def explanations(doubt: Doubt) -> Explanation:
        """Of which past event a prediction came: its score, less what it would be without the event."""
        return await service.explanations(doubt)

    for path, endpoint in ("/v1/predictions", predictions), ("/v1/explanations", explanations):
        app.router.add_api_route(
            path, endpoint, methods=["POST"], responses=PROBLEMS, route_class_override=Direct
        )

    @app.get("/v1/users", responses=PROBLEMS)
    async def users(limit: int = 24) -> list[str]:
        """A few users of last night, as `entity`."""
        return await service.some_users(limit)

    @app.get("/v1/users/{entity}", responses=PROBLEMS)
    async def timeline(entity: str) -> Timeline:
        """What is known of a user of last night."""
        return await service.timeline(entity)

    @app.get("/v1/about", responses=PROBLEMS)
    async def about() -> dict[str, Any]:
        """What answers: the champion of each task, the published night and event types."""
        return service.about()

    @app.get("/health")
    async def health() -> JSONResponse:
        """Whether the process can answer at all; 503: start it anew."""
        well = service.is_well()
        return JSONResponse(
            {"status": "ok" if well else "the batcher's thread has ended"}, 200 if well else 503
        )

    @app.get("/ready")
    async def ready() -> JSONResponse:
        """Whether questions are answered; 503: send them elsewhere, it says why."""
        missing = service.missing()
        return JSONResponse({"status": "; ".join(missing) or "ready"}, 503 if missing else 200)

    @app.get("/metrics", response_class=Response)
    async def metrics() -> Response:
        """For Prometheus."""
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        return _file("index.html", "text/html")

    @app.get("/page/{name}", include_in_schema=False)
    async def part(name: str) -> Response:
        if name not in PAGE:
            raise Refused(404, "not_found", "there is no such page")
        return _file(name, PAGE[name])

    return app


def _file(name: str, kind: str) -> Response:
    return Response((resources.files("serving") / "page" / name).read_bytes(), media_type=kind)


async def _invalid(request: Request, error: Exception) -> Response:
    """Where a question is wrong and what was expected there, without what was sent."""
    assert isinstance(error, ValidationError)
    found = [
        f"{'.'.join(map(str, each['loc'])) or 'the body'}: {each['msg']}"
        for each in error.errors(include_url=False, include_input=False, include_context=False)[:5]
    ]
    return JSONResponse({"error": "invalid", "message": "; ".join(found)}, 422)


async def _refused(request: Request, error: Exception) -> Response:
    if isinstance(error, Refused):
        return JSONResponse({"error": error.error, "message": str(error)}, error.status, error.headers)
    assert isinstance(error, HTTPException)
    word = str(error.detail).lower().replace(" ", "_")
    return JSONResponse(
        {"error": word, "message": f"{error.detail}: see /openapi.json"}, error.status_code, error.headers
    )


def openapi(app: FastAPI) -> str:
    return json.dumps(app.openapi(), indent=1)
