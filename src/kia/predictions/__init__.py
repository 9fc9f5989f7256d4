"""The reports of a whole split on disk, as scores read them; nothing is lost on the way."""

from kia.predictions.write import record_of as record_of
from kia.predictions.write import recorded_model as recorded_model
from kia.predictions.write import write_predictions as write_predictions
