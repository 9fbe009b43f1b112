"""The act of exchanging: collect, land, deliver, query, under grants and on record."""
