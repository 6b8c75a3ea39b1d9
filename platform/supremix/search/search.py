"""One search from Python: `Search`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Unpack

from upath import UPath

from supremix._display import Displayed
from supremix.errors import SpecError
from supremix.progress.notebook import default_listener
from supremix.progress.progress import Listener
from supremix.runs.folder import RunFolder, new_run_folder, removed_if_refused
from supremix.runs.result import Result
from supremix.search.driver import run_search
from supremix.search.request.declaration import command_options, request_options
from supremix.search.request.file import read_request
from supremix.search.request.keywords import SearchKeywords
from supremix.search.request.option import SEARCH
from supremix.search.request.python import checked, takes_options
from supremix.search.spec import SearchSpec
from supremix.storage.paths import Address
from supremix.training import Method
from supremix.tuning.ledger.ledger import read_events
from supremix_datasets import Dataset


@takes_options("search")
class Search(Displayed):
    """A search for the hyperparameters with the lowest validation error.

    Args:
        dataset: Name of a dataset (see `datasets`), or a `Dataset` of your own: card and reader.
        source: Folder or address of the official download; ``"phantom"``, or None where the
            dataset has phantoms, for generated images.
        method: Name of a method, or an object of your own.
        out: Run folder, or its fsspec address; None for a new one below ``runs/``.
        progress: Called with a `Progress` at every step; by default a bar in a notebook.
        **options: The options of a search.

    Raises:
        USER_ERRORS: Of `supremix.errors`: the request cannot be carried out.
    """

    def __init__(
        self,
        dataset: str | Dataset,
        source: str | Path | None = None,
        method: str | Method = "supremix",
        *,
        out: Address | None = None,
        progress: Listener | None = None,
        **options: Unpack[SearchKeywords],
    ) -> None:
        given = checked(Search, options)
        folder = None if source is None else str(source)
        spec = SearchSpec(dataset=dataset, source=folder, method=method, **given)
        if spec.folds is not None:
            raise SpecError(
                "a search with folds is a cross-validation: take supremix.CrossValidation with the "
                "same arguments."
            )
        names = spec.resolve_dataset().card.name, spec.resolve_method().name
        self.spec = spec
        self._run = RunFolder(new_run_folder(*names) if out is None else out)
        self._listen: Listener = progress or default_listener(f"searching on {names[0]}")
        self._begun = False
        self._prolonged_to: int | None = None

    @classmethod
    def from_file(
        cls, path: Address, *, progress: Listener | None = None, **options: Any
    ) -> Search:
        """A new search with the request in a file.

        Args:
            path: TOML file with options under their names, such as ``supremix search --dry-run``
                prints, or the `spec.json` of a run.
            progress: Called with a `Progress` at every step; by default a bar in a notebook.
            options: Arguments of `Search` that win over the file.

        Raises:
            USER_ERRORS: Of `supremix.errors`: the file holds no request for one search, or one that
                cannot be carried out.
        """
        given = read_request(path, SEARCH, given=options)
        own = {"out", *(one.name for one in request_options(SEARCH))}
        for one in command_options(SEARCH):
            if one.name in given and one.name not in own and given.pop(one.name) != one.default:
                raise SpecError(
                    f"{path} has {one.name}, which is for the command line; leave it out."
                )
        return cls(**given, **options, progress=progress)

    @classmethod
    def resume(
        cls,
        run: Address,
        *,
        epochs: int | None = None,
        progress: Listener | None = None,
        **objects: Any,
    ) -> Search:
        """A search that continues where the one in `run` ended, however it ended.

        With `epochs`, the best third of the trials of a finished search are prolonged to so many
        epochs, with the defaults and the trainings with new seeds; what is best is then decided and
        tested again. `run` refuses where the search is not over, or the schedule of the learning
        rate of its best trial is "one-cycle".

        It goes on with the data and the space that it began with; `run` refuses data that have
        changed since.

        Args:
            run: The run folder.
            epochs: Epochs that a whole trial shall have, from its start.
            progress: Called with a `Progress` at every step; by default a bar in a notebook.
            objects: `address`, `wheel` and `cache` where they are different now, and objects of
                your own that the search was started with and that cannot be imported by name,
                under the name of their option. Everything else stays as it was specified.

        Raises:
            RunFolderError: `run` is not the folder of a search.
            SpecError: Something else is given, or such an object is not.
        """
        folder = RunFolder(run)
        spec = SearchSpec.from_dict(folder.read_spec(), **objects)
        search = cls.__new__(cls)
        vars(search).update(
            spec=spec,
            _prolonged_to=epochs,
            _run=folder,
            _listen=progress or default_listener(f"searching in {folder.name}"),
            _begun=True,
        )
        return search

    @property
    def path(self) -> UPath:
        """The run folder."""
        return self._run.path

    def facts(self) -> dict[str, str]:
        """What is searched, and where."""
        return {**self.spec.facts(), "folder": str(self.path)}

    def run(self) -> Result:
        """Search; returns once the budget is used up and the best hyperparameters are tested.

        Raises:
            USER_ERRORS: See `supremix.errors`.
        """
        fresh = not self._begun
        if fresh:
            self._run.create(self.spec.to_dict())
            self._begun = True
        with removed_if_refused(self._remove if fresh else lambda: None):
            run_search(self.spec, self._run, self._listen, prolonged_to=self._prolonged_to)
        self._prolonged_to = None
        return Result(self._run.path)

    def _remove(self) -> None:
        if not read_events(self._run.ledger):
            self._run.remove()
            self._begun = False
