"""Compiles exported C files, warnings as errors and sanitizers on, and lets them answer as ``parity.measure`` asks."""

import math
import struct
import subprocess
from pathlib import Path

from serving.scorecard import InputError, Scorecard, exports
from serving.scorecard.inputs import CATEGORY

STRICT = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic")
SANITIZED = ("-O0", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")

#: Reads rows from standard input and writes answers; every array and text is exactly as long as it has to be.
DRIVER = r"""
#include <stdio.h>
#include <stdlib.h>
#include "model.c"

static void get(void *to, size_t size)
{
    if (size > 0 && fread(to, size, 1, stdin) != 1) exit(1);
}

static void put(const void *from, size_t size)
{
    if (size > 0 && fwrite(from, size, 1, stdout) != 1) exit(1);
}

static void put_text(const char *text)
{
    int size = 0;
    while (text[size]) size++;
    put(&size, sizeof size);
    put(text, (size_t)size);
}

int main(void)
{
    int rows;
    get(&rows, sizeof rows);
    while (rows-- > 0) {
        double *numbers = MODEL_NUMBERS ? malloc(sizeof(double) * MODEL_NUMBERS + !MODEL_NUMBERS) : NULL;
        char **texts = MODEL_TEXTS ? malloc(sizeof(char *) * MODEL_TEXTS + !MODEL_TEXTS) : NULL;
        int i, size, status;
        get(numbers, sizeof(double) * MODEL_NUMBERS);
        for (i = 0; i < MODEL_TEXTS; i++) {
            get(&size, sizeof size);
            texts[i] = size < 0 ? NULL : malloc((size_t)size + 1);
            if (size >= 0) {
                get(texts[i], (size_t)size);
                texts[i][size] = 0;
            }
        }
        {
            const char *const *const given = (const char *const *)texts;
            ANSWER answer = 0;
            status = model_predict(numbers, given, &answer);
            put(&status, sizeof status);
            put(&answer, sizeof answer);
#ifdef PROBABILITIES
            {
                double *found = calloc(PROBABILITIES, sizeof(double));
                if (model_probabilities(numbers, given, found) != status) exit(2);
                put(found, PROBABILITIES * sizeof(double));
                free(found);
            }
#endif
#ifdef SCORES
            {
                double *found = calloc(SCORES, sizeof(double));
                if (model_decision(numbers, given, found) != status) exit(3);
                put(found, SCORES * sizeof(double));
                free(found);
            }
#endif
        }
        put_text(model_column(status));
        put_text(model_reason(status));
        for (i = 0; i < MODEL_TEXTS; i++) free(texts[i]);
        free(texts);
        free(numbers);
    }
    return 0;
}
"""


class Compiled:
    """A program made of an exported file and the driver."""

    def __init__(self, program: str, folder: Path, scorecard: Scorecard, *, flags=(*STRICT, *SANITIZED)):
        self.scorecard, self.path = scorecard, folder / "asked"
        self.source = exports.write(scorecard, "c")
        (folder / "model.c").write_text(self.source, encoding="ascii")
        (folder / "driver.c").write_text(DRIVER, encoding="ascii")
        self.scores = scorecard.document.model.outputs
        defined = [f"-DANSWER={'int' if scorecard.classes else 'double'}"]
        defined += [f"-DPROBABILITIES={len(scorecard.classes)}"] if scorecard.has_probabilities else []
        defined += [f"-DSCORES={self.scores}"] if scorecard.has_decision else []
        command = [program, *flags, *defined, "driver.c", "-o", str(self.path), "-lm"]
        subprocess.run(command, cwd=folder, check=True, timeout=120)

    def ask(self, rows: list[dict]) -> list:
        """For each row the answers by the pipeline's names for them, or the InputError."""
        given = b"".join([struct.pack("i", len(rows)), *map(self._row, rows)])
        found = subprocess.run([self.path], input=given, capture_output=True, timeout=120, check=False)
        assert found.returncode == 0, found.stderr.decode()
        reader = _Reader(found.stdout)
        answers = [self._answer(reader) for _ in rows]
        assert reader.place == len(found.stdout)
        return answers

    def _row(self, row: dict) -> bytes:
        parts = []
        for item in self.scorecard.inputs:
            if item.type != CATEGORY:
                value = _plain(row[item.name])
                parts.append(struct.pack("d", math.nan if value is None else float(value)))
        for item in self.scorecard.inputs:
            if item.type == CATEGORY:
                value = _plain(row[item.name])
                text = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
                parts.append(struct.pack("i", -1) if text is None else struct.pack("i", len(text)) + text)
        return b"".join(parts)

    def _answer(self, reader: "_Reader"):
        card = self.scorecard
        status = reader.take("i")[0]
        answer = reader.take("i" if card.classes else "d")[0]
        found = {"predict": card.classes[answer] if card.classes else answer}
        if card.has_probabilities:
            found["predict_proba"] = list(reader.take(f"{len(card.classes)}d"))
        if card.has_decision:
            scores = reader.take(f"{self.scores}d")
            found["decision_function"] = scores[0] if len(scores) == 1 else list(scores)
        column, reason = (reader.take(f"{reader.take('i')[0]}s")[0].decode("utf-8", "surrogatepass") for _ in range(2))
        if status == 0:
            assert (column, reason) == ("", "")
            return found
        return InputError(column, reason)


class _Reader:
    """Binary values one after another."""

    def __init__(self, data: bytes):
        self.data, self.place = data, 0

    def take(self, form: str) -> tuple:
        found = struct.unpack_from("=" + form, self.data, self.place)
        self.place += struct.calcsize("=" + form)
        return found


def _plain(value):
    if hasattr(value, "item"):
        value = value.item()
    if value is None or type(value).__name__ in ("NAType", "NaTType") or isinstance(value, float) and value != value:
        return None
    return value
