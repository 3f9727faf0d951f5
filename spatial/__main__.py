"""``python -m spatial`` is the command ``alleyplan``."""

from spatial.cli import main

if __name__ == "__main__":
    main()
