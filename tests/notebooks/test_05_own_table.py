"""Notebook 05_own_table: it runs with the table that comes with it, and with one that looks quite different."""

from pathlib import Path

import numpy as np

from tests.notebooks.running import executed, pictures, said, shown


def test_the_table_that_comes_with_it(tmp_path: Path, warm_python: Path) -> None:
    cells = executed(tmp_path, "05_own_table.ipynb", warm_python)
    assert "task: classification ('churned' holds the labels 'no', 'yes')" in said(cells["train"])
    assert "alias champion → version 1" in said(cells["promote"])
    (answer,) = set(shown(cells["ask"]).split("'")) & {"yes", "no"}
    assert f'{{"predictions":["{answer}"]}}' in said(cells["serve"])
    assert (pictures(cells["pictures"]), pictures(cells["explain"])) == (5, 1)


def test_a_table_of_another_kind(tmp_path: Path, warm_python: Path) -> None:
    generator = np.random.default_rng(0)
    lines = ["Artikel;Fläche (m²);Ort;Preis"]
    for number in range(300):
        size, place = generator.uniform(20, 200), generator.choice(["Köln", "Bonn"])
        price = 2500 * size + 40_000 * (place == "Köln") + generator.normal(0, 9000)
        lines.append(f"A{number:04};{size:.1f};{place};{price:.2f}".replace(".", ","))
    (tmp_path / "my flats.csv").write_text("\n".join(lines), encoding="cp1252")
    changes = {
        'ROOT / "pipelines/project/template/data/customers.csv"': repr(str(tmp_path / "my flats.csv")),
        '"churned"': '"Preis"',
    }
    cells = executed(tmp_path / "project", "05_own_table.ipynb", warm_python, changes=changes)
    assert "task: regression" in said(cells["train"])
    assert "alias champion → version 1" in said(cells["promote"])
    assert '{"predictions":[' in said(cells["serve"])
