"""Is it fit to leave: the contract's rules as checks, the gate that every row passes, the report of a run.

``checks`` compiles a contract; ``gate`` decides rows and runs; ``engines.arrow`` is the hot path, ``engines.gx`` the report
beside it, compiled from the same contract by code of its own.
"""
