"""The command line: `supremix search`, `check`, `prepare`, `predict`, `datasets`, `phantom`."""

from supremix.cli.app import app as app
from supremix.cli.app import main as main
