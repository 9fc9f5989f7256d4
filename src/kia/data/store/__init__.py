"""The prepared data set: one folder, opened at once, written atomically, read-only."""

from kia.data.store.dataset import DatasetWriter as DatasetWriter
from kia.data.store.dataset import PreparedDataset as PreparedDataset
