"""What the start of a batch job costs: no package that a job in DuckDB does not use is imported."""

import subprocess
import sys
from pathlib import Path

import pandas as pd

from tests.serving.batch.test_score import good, saved
from tests.serving.scorecard import portable


def test_a_job_in_duckdb_needs_no_package_of_training(tmp_path: Path) -> None:
    heavy = ("sklearn", "scipy", "pandas", "pyarrow", "mlflow", "sqlglot", "numpy", "sqlalchemy", "boto3")
    card, table = saved(portable.scorecard("regression"), tmp_path), tmp_path / "in.parquet"
    good(3).to_parquet(table, index=False)
    code = (
        "import sys; from serving.batch import ScoreRequest, score; "
        f"score(ScoreRequest({card!r}, {str(table)!r}, {str(tmp_path / 'out.parquet')!r})); "
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert len(pd.read_parquet(tmp_path / "out.parquet")) == 3
