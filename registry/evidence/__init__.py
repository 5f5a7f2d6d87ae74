"""Evidence: what was measured about a version, kept with its run and read by gates and people.

``evidence/training/`` of the version's run holds ``evidence.json`` (:class:`Evidence`; its JSON schema is the file
``registry/evidence/schema.json``) and ``holdout.parquet`` (the answers on the held-out rows). The digest of both is a
tag of the version.
"""

from registry.evidence.document import Evidence
from registry.evidence.files import DIGEST_TAG, DOCUMENT, EVALUATIONS, HOLDOUT, TRAINING, digest, read, write

__all__ = ["DIGEST_TAG", "DOCUMENT", "EVALUATIONS", "HOLDOUT", "TRAINING", "Evidence", "digest", "read", "write"]
