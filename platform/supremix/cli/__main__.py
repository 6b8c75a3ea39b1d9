"""`python -m supremix.cli`, for where the script `supremix` is not on the path."""

from supremix.cli import main

if __name__ == "__main__":
    main()
