"""What a model cannot be told, whatever it is trained for."""

from collections.abc import Iterator

from conf.contexts import PARTS
from conf.schema import ENCODERS, Config, Model, Source

INPUTS = ("category", "price", *PARTS)
WITHOUT_BLOCKS = ("gru", "lstm", "repeat")


def problems(conf: Config) -> Iterator[str]:
    """Each combination that makes no sense, in words that name its keys."""
    yield from _of_encoder(conf.model)
    yield from _of_loss(conf.model)
    yield from _of_task(conf)


def _of_encoder(model: Model) -> Iterator[str]:
    for key, value in (("model.linear", model.linear), ("model.earlier_share", model.earlier_share)):
        if value and model.name not in ENCODERS:
            yield f"{key} stands beside an encoder, got {value} and model={model.name}: set {key}=0, or another model"
    if model.width % (model.members * model.heads):
        yield (
            "model.width must be a multiple of model.members times model.heads, got "
            f"{model.width}, {model.members} and {model.heads}"
        )
    if model.members > 1 and (model.repeat or model.temperature):
        yield (
            f"model.members wants model.repeat=0 and no model.temperature, got {model.repeat} and "
            f"{model.temperature}: set these, or model.members=1"
        )
    if model.stochastic_depth and model.name in WITHOUT_BLOCKS:
        yield (
            "model.stochastic_depth wants an encoder of blocks that add to what they are given, got "
            f"model={model.name}: set model.stochastic_depth=0"
        )
    if model.repeat and model.name == "bert4rec":
        yield "model.repeat wants an encoder that looks back only, got bert4rec: set model.name"


def _of_loss(model: Model) -> Iterator[str]:
    for key, value in (
        ("model.label_smoothing", model.label_smoothing),
        ("model.consistency", model.consistency),
    ):
        if value and model.loss != "softmax":
            yield f"{key} wants model.loss=softmax, got {model.loss}: set one of them"
    if model.repeat and (model.loss, model.targets) != ("sampled_softmax", "all"):
        yield (
            "model.repeat wants model.loss=sampled_softmax and model.targets=all, "
            f"got {model.loss} and {model.targets}: set these, or model.repeat=0"
        )
    if model.regularization is not None and model.regularization <= 0:
        yield f"model.regularization must be > 0, got {model.regularization}: set model.regularization"
    if model.temperature is not None and model.temperature <= 0:
        yield f"model.temperature must be > 0, got {model.temperature}: set model.temperature=0.1"
    if model.temperature is not None and model.repeat:
        yield (
            f"model.repeat wants products of vectors, got model.temperature={model.temperature}: set one of them"
        )


def _of_task(conf: Config) -> Iterator[str]:
    """What only jobs/train.py can train, and only for tasks that rank."""
    model, task = conf.model, conf.task
    is_elsewhere = task.label or conf.step != "train"
    for key, value in (
        ("model.dropout_events", model.dropout_events),
        ("model.earlier_share", model.earlier_share),
    ):
        if value and (is_elsewhere or model.repeat):
            yield (
                f"{key} is of tasks that rank, in jobs/train.py, and wants model.repeat=0, which counts all that was had; "
                f"got task={task.name}, step {conf.step}, model.repeat={model.repeat}: set {key}=0 or these"
            )
    if model.content and (is_elsewhere or model.repeat):
        yield (
            "model.content is of tasks that rank, in jobs/train.py, and wants products of vectors: model.repeat=0; got "
            f"task={task.name}, step {conf.step}, model.repeat={model.repeat}: set model.content='' or these"
        )
    if model.linear and is_elsewhere:
        yield (
            f"model.linear is of tasks that rank, in jobs/train.py, got task={task.name} and step {conf.step}: set "
            "model.linear=0"
        )
    for name in model.inputs:
        if name not in INPUTS:
            yield f"model.inputs must be among {', '.join(INPUTS)}, got {name!r}: set model.inputs=[category,hour]"
    if model.inputs and is_elsewhere:
        yield (
            f"model.inputs is of tasks that rank, in jobs/train.py, got task={task.name} and step {conf.step}: set "
            "model.inputs=[]"
        )
    if "channel" in model.inputs and conf.source.channel == Source.channel:
        yield (
            f"model.inputs names the channel, of which source={conf.source.name} says nothing: set source.channel, an "
            "expression over a record, or leave it out"
        )
    if task.contexts and task.label:
        yield f"task.contexts is of tasks that rank, got task={task.name}: set task.contexts=false"
    if len(task.event_types) >= PARTS["type"].values:
        yield f"task.event_types must be fewer than {PARTS['type'].values}, got {len(task.event_types)}"
