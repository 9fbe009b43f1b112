"""The catalogue in the forms that others read. Each is a generator of text: memory does not grow with the resources."""
