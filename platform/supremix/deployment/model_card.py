"""The model card of an export: what the model is for, takes and gives, its data and its errors."""

from __future__ import annotations

from supremix.errors import USER_ERRORS
from supremix.storage.paths import to_path
from supremix.training import TrainedModel
from supremix_datasets.cards.covariate import Covariate
from supremix_reports.document.parts import Code, Listing, Paragraph, Part, Section
from supremix_reports.document.text import section_markdown
from supremix_reports.report.model_card import run_sections

FORMATS = ("onnx", "bundle", "torch")
NO_LICENCE = "not stated: ask the authors before any use"
INTENDED_USE = (
    "Research on patients like those of the training data. The model is no medical device and was "
    "not tested for diagnosis or treatment."
)

_CODE = {
    "onnx": (
        "import onnxruntime",
        'session = onnxruntime.InferenceSession("model.onnx")',
        'session.run(None, {"images": images{more}})  # float32 arrays',
    ),
    "torch": (
        "import torch",
        'model = torch.export.load("model.pt2").module()',
        "model(images{covariates})  # float32 tensors; needs torch only",
    ),
    "bundle": (
        "pip install supremix fire",
        "python -m monai.bundle run --config_file configs/inference.json "
        "--meta_file configs/metadata.json --bundle_root . --image_files \"['image.png']\"{given}",
    ),
}


def description_of(trained: TrainedModel) -> str:
    """What the model does, in a sentence."""
    card, facts, count = (
        trained.card,
        trained.description["training"],
        len(trained.predictor.members),
    )
    each = ", each trained on about so many" if "models" in facts else ""
    return (
        f"Predicts {card.target} in {card.unit} from {card.imaging}; trained by supremix with the "
        f"method {trained.description['method']} on {facts['images']} images of "
        f"{facts['patients']} patients of {card.name}."
        + (f" It is the mean of {count} networks{each}." if count > 1 else "")
    )


def interface(trained: TrainedModel) -> dict[str, str]:
    """What goes into the exported graph, what comes out, and what is done inside and outside."""
    card = trained.card
    size = " x ".join(map(str, card.shape))
    mirrored = "the mean over mirrored images, " if trained.predictor.flip_axes else ""
    spacing = "" if card.spacing is None else f" of {' x '.join(f'{s:g}' for s in card.spacing)} mm"
    channels = f"{card.channels} channel{'s' * (card.channels != 1)}"
    kind = "one clip of a video" if card.period is not None else "one image"
    found = {
        "images": f"float32 (batch, {card.channels}, {size.replace(' x ', ', ')}): {kind} each, "
        f"{channels} on a grid of {size}{spacing}, normalised: "
        f"(value - {card.offset!r}) * {card.gain!r}",
        "covariates": "; ".join(f"{k}: {_covariate(v)}" for k, v in enumerate(card.covariates)),
        "prediction": f"float32 (batch,): {card.target} in {card.unit}",
        "inside": f"{mirrored}the standardisation of covariates, the network, and the scale of the "
        "label",
        "outside": "decoding and orientation of the file, resampling to the grid, scaling of "
        "intensities, and the normalisation of images",
    }
    if card.period is not None:
        mean = "geometric" if card.target_transform == "log" else "arithmetic"
        found["outside"] += (
            f"; every {card.period}. frame makes a clip, and the prediction of a video is the "
            f"{mean} mean over clips that cover it"
        )
    return {name: text for name, text in found.items() if text}


def _covariate(covariate: Covariate) -> str:
    """The number that the graph takes for a covariate."""
    codes = [f"{word} = {number:g}" for word, number in covariate.words]
    notes = (
        covariate.name,
        covariate.doc,
        *codes,
        "its natural logarithm" if covariate.log else "",
        "for a pixel of the grid" if covariate.per_pixel else "",
        "" if covariate.default is None else f"{covariate.default:g} where not known",
    )
    return ", ".join(filter(None, notes))


def model_card(trained: TrainedModel, model: str, form: str, words: dict[str, str]) -> str:
    """The model card as Markdown.

    Args:
        trained: The model.
        model: Address of its run folder, or of a model's folder.
        form: The format of the export.
        words: authors, licence, intended_use, description, and how the export was checked.
    """
    card = trained.card
    given = {
        "licence": words["licence"],
        "authors": words["authors"],
        "licence of the training data": card.licence,
        "dataset": f"{card.title} {card.home}".strip(),
        "checked": f"{words['checked']}, of a batch and of a single image",
    }
    sections = (
        Section(
            key="use",
            title="Intended use",
            parts=(Paragraph(text=words["intended_use"]), _listing(given)),
        ),
        Section(
            key="interface",
            title="Input and output",
            parts=(_listing(interface(trained)), Code(lines=_code(trained, form))),
        ),
        Section(key="limits", title="Limits", parts=tuple(_limits(trained))),
        *_of_run(model),
    )
    title = f"# {card.target.capitalize()} from {card.name}"
    return "\n\n".join([title, words["description"], *map(section_markdown, sections)]) + "\n"


def _listing(entries: dict[str, str]) -> Listing:
    return Listing(entries=tuple((name, text) for name, text in entries.items() if text))


def _code(trained: TrainedModel, form: str) -> tuple[str, ...]:
    names = [one.name for one in trained.card.covariates]
    texts = {
        "{more}": ', "covariates": covariates' if names else "",
        "{covariates}": ", covariates" if names else "",
        "{given}": f" --covariates \"{{'{names[0]}': ...}}\"" if names else "",
    }
    lines = _CODE[form]
    for mark, text in texts.items():
        lines = tuple(line.replace(mark, text) for line in lines)
    return lines


def _limits(trained: TrainedModel) -> list[Part]:
    facts, unit = trained.description["training"], trained.card.unit
    low, *_, high = facts["labels"]["percentiles"]
    return [
        Paragraph(
            text=f"The labels of the training reach from {low:.4g} to {high:.4g} {unit}; beyond "
            "them the model extrapolates."
        ),
        Paragraph(
            text="Its errors hold for patients and scanners like those of the training data. "
            "Measure it on your own patients first: supremix evaluate."
        ),
        Paragraph(
            text="The export predicts a number for any picture, without an interval and without a "
            "correction of bias. supremix predict gives both on request, and flags images that are "
            "unlike those of the training."
        ),
    ]


def _of_run(model: str) -> tuple[Section, ...]:
    """The sections that are made from the tables of the run."""
    try:
        if (to_path(model) / "spec.json").is_file():
            return run_sections(model)
    except USER_ERRORS as error:
        reason = str(error)
    else:
        reason = "the model was not exported from the folder of one run."
    text = f"Data, errors and versions are not known: {reason}"
    return (Section(key="run", title="The run", parts=(Paragraph(text=text, tone="warning"),)),)
