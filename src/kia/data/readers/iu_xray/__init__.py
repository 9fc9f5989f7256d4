"""IU X-Ray, in the forms in which it is handed around."""
