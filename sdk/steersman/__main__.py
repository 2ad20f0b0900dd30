"""`python -m steersman`."""

from steersman.cli import main

if __name__ == "__main__":
    main()
