"""`countermand`: start and stop the embedded stack, and make development tokens."""

import sys


def main() -> int:
    if sys.argv[1] == "migrate":
        from shared.settings import load
        from shared.store.migrate import upgrade
        upgrade(load().database_url)
    return 0


if __name__ == "__main__":
    sys.exit(main())
