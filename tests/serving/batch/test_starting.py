"""What the start of a batch job costs: no package that a job in DuckDB does not use is imported."""

import subprocess
import sys


def test_score_starts_without_the_packages_of_training() -> None:
    heavy = ("sklearn", "scipy", "pandas", "pyarrow", "mlflow", "sqlglot", "numpy", "sqlalchemy", "boto3")
    code = f"import sys, serving.batch; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
