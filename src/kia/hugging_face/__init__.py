"""The same model in transformers' classes: `AutoModel`, all options of `generate`, `push_to_hub`.

No command imports its model and configuration: transformers' model classes take longer to import
than a report takes to write (docs/decisions/0020).
"""
