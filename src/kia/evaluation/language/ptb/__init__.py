"""Penn Treebank tokens as coco-caption makes them, without Java."""
