"""Reading other catalogues: from a file or an address that is allowed, in a process of its own that is bounded."""
