"""The catalogue as spreadsheets: what departments fill in, and what the hub writes for them."""
