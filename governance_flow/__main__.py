"""``python -m governance_flow``: the command line, wherever the program itself is not found."""

from governance_flow.cli import main

if __name__ == "__main__":
    main()
