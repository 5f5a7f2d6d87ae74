"""Strict reading of settings: a typed struct, or one line that names the first fault."""

import math
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, Struct

from registry import strict
from registry.strict import DISTINCT, Invalid, NotBlank, one_of


class Disk(Struct, frozen=True, forbid_unknown_fields=True):
    size: Annotated[int, Meta(ge=1, le=64)]
    kind: Literal["ssd", "hdd"] = "ssd"


class Machine(Struct, frozen=True, forbid_unknown_fields=True):
    name: NotBlank
    share: Annotated[float, Meta(gt=0, lt=1)] = 0.5
    load: float | None = None
    spot: bool = False
    zones: Annotated[tuple[Annotated[str, one_of("north", "south.1")], ...], DISTINCT] = ()
    disks: list[Disk] = []
    labels: dict[str, str] = {}
    limits: dict[Literal["cpu", "memory"], Annotated[float, Meta(ge=0)]] = {}

    def __post_init__(self) -> None:
        if self.spot and not self.zones:
            raise ValueError("a spot machine has zones")


def fault(content: Any) -> str:
    with pytest.raises(Invalid) as caught:
        strict.read(content, Machine)
    return str(caught.value)


def test_settings_become_a_struct():
    content = {"name": "a", "share": 0.25, "zones": ["south.1"], "disks": [{"size": 2}], "limits": {"cpu": 1}}
    assert strict.read(content, Machine) == Machine("a", 0.25, None, False, ("south.1",), [Disk(2)], {}, {"cpu": 1.0})


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"nmae": "b"}, "unknown key 'nmae'; did you mean 'name'?"),
        ({"qqq": "b"}, "unknown key 'qqq'; the keys are name, share, "),
        ({"name": " "}, "name: expected a text, found ' '"),
        ({"share": 1}, "share: expected a number between 0 and 1, found 1"),
        ({"share": "0.5"}, "share: expected a number between 0 and 1, found '0.5'"),
        ({"load": math.nan}, "load: expected a number, found nan"),
        ({"load": math.inf}, "load: expected a number, found inf"),
        ({"load": True}, "load: expected a number, found True"),
        ({"spot": "yes"}, "spot: expected true or false, found 'yes'"),
        ({"spot": True}, "a spot machine has zones"),
        ({"zones": "north"}, "zones: expected a list, found 'north'"),
        ({"zones": ["nort"]}, "zones.1: expected north or south.1, found 'nort'; did you mean 'north'?"),
        ({"zones": ["southx1"]}, "zones.1: expected north or south.1, found 'southx1'; did you mean 'south.1'?"),
        ({"zones": ["north", "north"]}, "zones: an item is repeated in ['north', 'north']"),
        ({"disks": [{"size": 1}, {"size": 65}]}, "disks.2.size: expected a whole number of at least 1 and at most 64"),
        ({"disks": [{"size": 2.0}]}, "disks.1.size: expected a whole number of at least 1 and at most 64, found 2.0"),
        ({"disks": [{"kind": "ssd"}]}, "disks.1: the key 'size' is missing"),
        ({"disks": [3]}, "disks.1: expected keys (size, kind), found 3"),
        ({"labels": {"a": 3}}, "labels.a: expected a text, found 3"),
        ({"labels": {3: "a"}}, "labels: expected keys that are texts, found 3"),
        ({"limits": {"cpus": 1}}, "unknown key 'limits.cpus'; did you mean 'cpu'?"),
        ({"limits": {"cpu": -1}}, "limits.cpu: expected a number of at least 0, found -1"),
        ({"limits": None}, "limits: expected keys (cpu, memory), found None"),
    ],
)
def test_the_first_fault_is_told_with_its_path(changes: dict, says: str):
    assert fault({"name": "a", **changes}).startswith(says)


def test_what_is_no_mapping_is_told_with_the_path_that_leads_to_it():
    with pytest.raises(Invalid, match=r"^machines\.a: expected keys \(name, .*\), found \[\]$"):
        strict.read([], Machine, path=("machines", "a"))


WORDS = st.sampled_from(["a", "north", "south.1", "ssd", "cpu", "size", "kind", ""])
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)


@given(content=st.dictionaries(st.sampled_from(Machine.__struct_fields__), ANYTHING))
def test_law_whatever_is_given_is_a_struct_or_one_line(content: dict):
    said = ""
    try:
        found = strict.read({"name": "a", **content}, Machine)
    except Invalid as error:
        found, said = None, str(error)
    assert (found is None) == bool(said)
    assert "\n" not in said
    # What was read is read again as it is written.
    if found is not None:
        assert strict.read(msgspec.json.decode(msgspec.json.encode(found)), Machine) == found
