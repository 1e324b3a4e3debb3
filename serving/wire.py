"""What goes over the wire: questions and answers, with the examples that OpenAPI shows."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

LONGEST_ID = 256  # characters
MOST_ITEMS = 10  # explained at a time
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICRO = timedelta(microseconds=1)

Id = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_ID)]


class Wire(BaseModel):
    """A field that is not declared is an error: a misspelt one would be passed over in silence."""

    model_config = ConfigDict(extra="forbid", frozen=True, revalidate_instances="never")


class Event(Wire):
    """Something that a user did with an item."""

    item_id: Id | None = Field(
        description="the item, by the id that the logs have; null: a behaviour without one",
        examples=["1029743"],
    )
    event_type: str | None = Field(
        None, max_length=64, description="what it was, as the logs call it; none: the task's own"
    )
    at: datetime | None = Field(
        None, description="when it was, ISO 8601; without an offset UTC; none: just now"
    )
    channel: str | None = Field(
        None, max_length=64, description="by which way it came, as the logs call it; none: it is not told"
    )


class Ask(Wire):
    """Whose next behaviour is asked for: a user of last night, with what happened since, or events alone."""

    user_id: Id | None = Field(None, description="a user, by the id that the logs have; hashed here")
    entity: Id | None = Field(None, description="the same user as `predictions` has it, in place of user_id")
    events: list[Event] = Field(
        default=[], description="what happened since last night; of nobody that is known: everything recent"
    )
    task: str | None = Field(None, max_length=64, description="what is predicted; none: every task")
    as_of: datetime | None = Field(None, description="the moment of the question; none: now")

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"user_id": "ann", "events": [{"item_id": "1029743", "event_type": "purchase"}]},
                {
                    "events": [
                        {"item_id": "1029743", "at": "2026-11-02T10:00:00Z"},
                        {"item_id": "995242", "at": "2026-11-02T10:04:30Z"},
                    ]
                },
            ]
        }
    )

    @model_validator(mode="after")
    def is_one_user(self) -> "Ask":
        if self.user_id is not None and self.entity is not None:
            raise ValueError("give user_id or entity, not both: they are two names of one user")
        return self


class Question(Ask):
    """A question for predictions."""

    k: int | None = Field(
        None, ge=1, le=1000, description="at most so many items or answers; none: as many as at night"
    )


class Doubt(Ask):
    """A question for the reasons of a prediction: of which past event it came."""

    items: list[Id] = Field(
        default=[],
        max_length=MOST_ITEMS,
        description="items, targets or classes to explain, of one question the task; none: the first of the prediction",
    )


class Scored(Wire):
    item_id: str = Field(examples=["1029743"])
    score: float = Field(description="higher is better; of one model only", examples=[2.25])


class Named(Wire):
    name: str = Field(description="a target or class of the task", examples=["dairy"])
    value: float = Field(description="its probability, or amount", examples=[0.25])


class Prediction(Wire):
    """What the champion of a task answers: items, or of a task with labels a value or answers."""

    task: str = Field(examples=["next_item"])
    items: list[Scored] = Field(description="the best first")
    value: float | None = Field(None, description="probability or amount, of a task that asks one question")
    low: float | None = Field(None, description="lower end of its interval, of an amount")
    high: float | None = Field(None, description="upper end of its interval, of an amount")
    answers: list[Named] = Field(
        default=[], description="of a task of several targets or classes, the largest first"
    )
    features_ds: str | None = Field(
        None, description="of a task with labels, the night whose features of the user it looks at"
    )
    reason: str | None = Field(None, description="why these are not the model's own for this user, if so")
    events: int = Field(description="past events that the model was shown", examples=[17])
    model: str = Field(examples=["sasrec"])
    model_version: int = Field(examples=[4])


class Answer(Wire):
    predictions: list[Prediction] = Field(description="one a task")
    known_user: bool = Field(description="whether the user is among those of last night")
    ds: str | None = Field(
        description="last night's date; none where nothing was published", examples=["2026-11-02"]
    )


class Past(Wire):
    """An event of the past that the model was shown."""

    item_id: str
    event_type: str
    at: datetime
    session: int = Field(description="events of one visit have one number")


class Explained(Wire):
    item_id: str = Field(description="the item, target or class; of one question the task")
    score: float
    changes: list[float] = Field(
        description="of each of `events`: the score, less what it would be without that event"
    )


class Explanation(Wire):
    """Leave one event out: by how much each past event raised or lowered the score of an item."""

    task: str
    events: list[Past] = Field(description="the newest of those that the model was shown, oldest first")
    items: list[Explained]
    model: str
    model_version: int


class Timeline(Wire):
    """What is known of a user of last night."""

    entity: str
    events: list[Past]
    ds: str


class Problem(Wire):
    """Why there is no answer."""

    error: str = Field(description="in one word, for programs", examples=["overloaded"])
    message: str = Field(
        description="in words: what arrived, what was expected, what to do",
        examples=["256 questions are waiting already: ask again in 1 s"],
    )


def micros(moment: datetime) -> int:
    """Microseconds since 1970; without an offset UTC."""
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - EPOCH) // MICRO


def moment(micros_since_1970: int) -> datetime:
    return EPOCH + timedelta(microseconds=int(micros_since_1970))
