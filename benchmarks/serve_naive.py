"""TensorFlow the usual way: a web application that calls the model's signature for each request by itself.

python -m benchmarks.serve_naive SAVED_MODEL PORT
"""

import sys
from datetime import UTC, datetime
from typing import Any

import numpy as np
import tensorflow as tf
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel


class Event(BaseModel):
    item_id: str
    at: datetime


class Question(BaseModel):
    events: list[Event]


def app_for(path: str) -> FastAPI:
    app, model = FastAPI(), tf.saved_model.load(path)

    @app.post("/v1/predictions")
    def predictions(question: Question) -> dict[str, Any]:
        now = datetime.now(UTC)
        ages = [(now - event.at).total_seconds() / 86400 for event in question.events]
        best = model.signatures["by_id"](
            item_ids=tf.constant([[event.item_id for event in question.events]]),
            sessions=tf.constant([list(range(1, len(ages) + 1))], tf.int32),
            ages=tf.constant([ages], tf.float32),
        )
        ids, scores = best["ids"].numpy()[0], best["scores"].numpy()[0]
        return {
            "items": [
                {"item_id": item_id.decode(), "score": float(score)}
                for item_id, score in zip(ids, scores, strict=True)
                if score > -np.inf
            ]
        }

    @app.get("/ready")
    def ready() -> dict[str, str]:
        return {"status": "ready"}

    return app


if __name__ == "__main__":
    uvicorn.run(
        app_for(sys.argv[1]), host="127.0.0.1", port=int(sys.argv[2]), access_log=False, log_level="warning"
    )
