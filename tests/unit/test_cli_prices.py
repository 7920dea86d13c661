"""`nimble-watch prices` as scripts and people read it."""

from __future__ import annotations

import json

import pytest

from nimble_watch.cli import main


def test_a_script_gets_a_line_for_everything_it_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--tsv", "BM.GPU.H100.8", "VM.GPU.A10.4", "VM.GPU2.1", "--volume-gb", "100", "--load-balancer"]
    assert main(["prices", *words]) == 0
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [row[:2] for row in rows] == [
        ["BM.GPU.H100.8", "80.00"],
        ["VM.GPU.A10.4", "unpriced"],
        ["VM.GPU2.1", "1.275"],
        ["volume-100GB", "0.0057"],
        ["load-balancer", "0.0123"],
    ]
    assert rows[1][2].startswith("Oracle has no shape of this name")
    assert rows[3][2] == "4.25 USD a month"


def test_no_shape_means_the_whole_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prices"]) == 0
    table = capsys.readouterr().out
    assert "VM.GPU.A10.1            1       2.00  Oracle's public price list" in table
    assert "BM.GPU.B300.8" in table


def test_a_flexible_shape_is_priced_by_its_size(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prices", "--json", "VM.Standard.E5.Flex", "--ocpus", "4", "--memory-gb", "64"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["usd_per_hour"] == 0.248


def test_unpriced_is_null_with_a_reason_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prices", "--json", "VM.Standard.E5.Flex"]) == 0
    assert json.loads(capsys.readouterr().out) == [
        {
            "name": "VM.Standard.E5.Flex",
            "usd_per_hour": None,
            "gpus": 0,
            "reason": "a flexible shape has no price without its OCPUs and memory",
        }
    ]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--ocpus", "some"], "--ocpus is 'some', which is not a positive number"),
        (["--memory-gb", "-1"], "--memory-gb"),
        (["--volume-gb", "0"], "'0' is not a whole number of GB"),
        (["--tsv", "--json"], "not allowed with"),
    ],
)
def test_what_cannot_be_understood_ends_with_2(
    words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["prices", "VM.GPU.A10.1", *words]) == 2
    assert complaint in capsys.readouterr().err
