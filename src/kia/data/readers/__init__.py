"""One file a collection: from what people have to studies."""
