"""The rules: pure functions and tables over plain values.  Nothing here does I/O."""
