"""The label itself: a JSON object under the key AIGC."""

import json
from dataclasses import dataclass

KEY = "AIGC"
# The standard's words for what is known: it was made by a model (2: it may have been, 3: it is suspected of it).
_GENERATED = "1"


@dataclass(frozen=True)
class AILabel:
    """Who made it (name or code of the service's provider) and under which number; who passes it on, the same way. The
    reserved codes are for whoever signs his labels; ours are not signed."""

    producer: str
    produce_id: str

    def json(self) -> str:
        """The value of the key."""
        fields = {
            "Label": _GENERATED,
            "ContentProducer": self.producer,
            "ProduceID": self.produce_id,
            "ReservedCode1": "",
            "ContentPropagator": self.producer,
            "PropagateID": self.produce_id,
            "ReservedCode2": "",
        }
        return json.dumps(fields, ensure_ascii=False)
