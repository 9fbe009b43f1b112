"""Other catalogues beside the own one: what their DCAT says, read and kept with where it came from."""
