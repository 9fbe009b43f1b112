"""Two engines for one contract: ``arrow`` decides every row, ``gx`` reports on a sample. They do not import each other."""
