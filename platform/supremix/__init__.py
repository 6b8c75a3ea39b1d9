"""supremix: hyperparameter search for medical-image regression with SupReMix, on Ray.

::

    import supremix

    search = supremix.Search(dataset="hc18", source="path/to/hc18", method="supremix", trials=32)
    result = search.run()
    result.best.config
    model = result.best.load()
    model.predict("image.png", pixel_size=0.14)

The names below are loaded when they are first used: a worker that needs a loss, or a user who
wants one, does not wait for Ray.
"""

from __future__ import annotations

from supremix_reports.lazy_exports import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(__name__, __file__)
