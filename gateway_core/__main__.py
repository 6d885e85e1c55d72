"""`python -m gateway_core`: the same as the command `gateway`."""

from gateway_core.cli import main

if __name__ == "__main__":
    main(prog_name="gateway")
