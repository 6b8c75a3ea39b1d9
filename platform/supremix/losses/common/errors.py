"""The error of the losses."""


class LossInputError(ValueError):
    """A loss was given a batch or a setting it cannot work with; the message says which."""
