"""The tables that come with scikit-learn."""

import pyarrow as pa

from pipelines.sources.table import Table, rows_digest

#: scikit-learn's bundled tables: name -> task. ``linnerud`` has three targets, of which the user chooses one.
BUNDLED = {
    "diabetes": "regression",
    "breast_cancer": "classification",
    "iris": "classification",
    "wine": "classification",
    "digits": "classification",
    "linnerud": "regression",
}


def read(name: str) -> Table:
    """A bundled table, in its raw units."""
    import sklearn.datasets

    load = getattr(sklearn.datasets, f"load_{name}")
    loaded = load(as_frame=True, **({"scaled": False} if name == "diabetes" else {}))
    frame = loaded.frame
    columns = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    target = "target" if "target" in columns.column_names else None
    words = {}
    if BUNDLED[name] == "classification":
        # Its classes are the places of these words; digits are called by their numbers.
        words = {str(place): str(word) for place, word in enumerate(loaded.target_names) if str(word) != str(place)}
    return Table(columns, name, f"scikit-learn:{name}", rows_digest(columns), target, BUNDLED[name], class_names=words)
