"""`python -m steersman_training`: the `steersman` command, in the form that `accelerate launch -m` takes."""

from steersman.cli import main

if __name__ == "__main__":
    main()
