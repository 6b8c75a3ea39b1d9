"""The differences between the data that a store was made of and those that are there now."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from operator import attrgetter
from typing import Any

from supremix_datasets.cards.card import Card
from supremix_datasets.cards.sample import Sample
from supremix_datasets.errors import DataChangedError
from supremix_datasets.stores.build import StorePlan
from supremix_datasets.stores.store import Store, as_read

NAMED = 3
"""Images that are named as examples of a change."""

_READER = ("the dataset", "the reader's version", "the reader's settings")

_FIELDS = {
    "target": "labels", "group": "patients", "split": "official splits", "site": "sites",
    "fold": "folds",
}  # fmt: skip


def check_unchanged(before: Mapping[str, Any], plan: StorePlan, store: Store | None) -> None:
    """Check that a plan is that of the store that was there before.

    Args:
        before: `Store.identity` of that store.
        plan: Plan of a store of the data as they are now.
        store: The store from before, where it can still be read.

    Raises:
        DataChangedError: It is that of another store; the message says what changed.
    """
    if plan.key == before["key"]:
        return
    listed = "; ".join([*_samples(before, plan, store), *_settings(before, plan)])
    raise DataChangedError(
        f"the data of {plan.card.name!r} in {plan.source!r} have changed, and are no longer those "
        f"that the run began with: {listed}. Put them back as they were, or start a new run."
    )


def _settings(before: Mapping[str, Any], plan: StorePlan) -> list[str]:
    """Changes of how images are read, from one version of the code or the card to another."""
    now = plan.identity
    found: list[str] = []
    if now["format"] != before["format"]:
        found.append(f"prepared images have format {now['format']}, not {before['format']}")
    for what, new, old in zip(_READER, now["reader"], before["reader"], strict=True):
        if new != old:
            settings = isinstance(new, dict)
            found.append(f"{what} differ" if settings else f"{what} is {new}, not {old}")
    card, old = now["card"], before["card"]
    names = [name for name in {**old, **card} if card.get(name) != old.get(name)]
    return found + [f"{name} is {card.get(name)!r}, not {old.get(name)!r}" for name in names]


def _samples(before: Mapping[str, Any], plan: StorePlan, store: Store | None) -> list[str]:
    """Changes of the table and of the files."""
    same_table, same_files = (
        plan.identity[part] == before[part] for part in ("samples", "contents")
    )
    if store is None:
        table = [] if same_table else ["the list of images with their labels and patients differs"]
        return table if same_files else [*table, "image files differ"]
    scanned = {sample.id: sample for sample in plan.scan.samples}
    listed = {*scanned, *(one.id for one in plan.scan.rejected)}
    kept = set(store.index["id"])
    known = {*kept, *store.quarantine["id"]}
    found = [
        *_count(listed - known, "images are new"),
        *_count(known - listed, "images are missing"),
        *_count((kept & listed) - scanned.keys(), "images are excluded now"),
    ]
    if not same_files and not found:
        found.append("image files differ")
    found += _changed_values(store, scanned)
    if not same_table and not found:
        found.append("the reasons for which images are excluded differ")
    return found


def _changed_values(store: Store, scanned: Mapping[str, Sample]) -> list[str]:
    """Changes of labels, patients and the like of images that were there before."""
    rows = [row for row in store.index.iter_rows(named=True) if row["id"] in scanned]
    found: list[str] = []
    for column, (word, value) in _values(store.card).items():
        changed = [row for row in rows if value(scanned[row["id"]]) != row[column]]
        patients = len({row["group"] for row in changed})
        what = f"of {len(rows)} images, of {patients} patients, have other {word}"
        found += _count([row["id"] for row in changed], what)
    return found


def _values(card: Card) -> dict[str, tuple[str, Callable[[Sample], Any]]]:
    """The columns of a store's index that a table gives: what is in there, and how it is found."""
    fields = {name: (word, attrgetter(name)) for name, word in _FIELDS.items()}
    covariates = {
        as_read(one.name): (
            f"values of {one.name}",
            lambda sample, one=one: one.word(sample.covariates.get(one.name)),
        )
        for one in card.covariates
    }
    return fields | covariates


def _count(ids: Collection[str], what: str) -> list[str]:
    """How many images something holds for, with some of their names; nothing for none."""
    shown = ", ".join(sorted(ids)[:NAMED])
    return [f"{len(ids)} {what} ({shown}{', …' if len(ids) > NAMED else ''})"] if ids else []
