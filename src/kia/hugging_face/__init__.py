"""The same model in transformers' classes: `AutoModel`, all options of `generate`, `push_to_hub`.

Nothing else of kia imports it: transformers' model classes take longer to import than a report
takes to write (docs/decisions/0020).
"""
