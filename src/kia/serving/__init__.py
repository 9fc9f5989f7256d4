"""A model behind HTTP: a REST API, and the parts that a web page needs."""
