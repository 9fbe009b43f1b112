"""The vocabulary of OneDoor: pure types and pure functions, no I/O."""
