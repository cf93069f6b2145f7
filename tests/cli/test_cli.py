"""The stemnmf command as a user types it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import tifffile

import napari_stemnmf as stem
from napari_stemnmf import cli, pipeline
from napari_stemnmf.cli.wording import in_options
from napari_stemnmf.grains.editing import Edit

QUICK = ["--preset", "nmf", "--seeds", "2", "--set", "*.clustering.components=25"]


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    path = tmp_path_factory.mktemp("scan") / "sample.h5"
    stem.sample(scan_shape=(32, 32), detector_shape=(64, 64), seed=1).save(path)
    return path


@pytest.fixture(scope="module")
def results(scan, tmp_path_factory):
    out = tmp_path_factory.mktemp("results")
    assert cli.main(["run", str(scan), "--out", str(out), *QUICK]) == 0
    return out


def test_info_says_what_the_file_holds(scan, capsys):
    assert cli.main(["info", str(scan)]) == 0
    text = capsys.readouterr().out
    assert "32" in text
    assert "uint16" in text
    assert "nm" in text


def test_info_says_what_is_odd(tmp_path, capsys):
    data = stem.sample(scan_shape=(16, 16), detector_shape=(48, 48), seed=1).dataset.data.compute()
    data[3, 4] = 900
    np.save(tmp_path / "odd.npy", data)
    assert cli.main(["info", str(tmp_path / "odd.npy")]) == 0
    lines = [line.split(maxsplit=1)[1] for line in capsys.readouterr().out.splitlines() if line.startswith("  odd ")]
    assert lines == [
        "The scan step and the size of a detector pixel are not in the file: 1 px is assumed.",
        "1 of 256 patterns is odd (1 evenly bright); a run sets it aside.",
    ]


def test_a_file_without_a_number_is_told_so(tmp_path, capsys):
    np.save(tmp_path / "nan.npy", np.full((4, 4, 32, 32), np.nan, np.float32))
    assert cli.main(["run", str(tmp_path / "nan.npy"), "--out", str(tmp_path / "out")]) == 1
    assert "nan holds no counts: every value is NaN or infinite." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("give its shape, as in scan_shape=(3, 4), to open it.", "give its shape, as in --scan-shape 3,4, to open it."),
        ("give scan_shape=(rows, columns) to", "give --scan-shape ROWS,COLUMNS to"),
        ("lower disks.min_snr.", "lower disks.min_snr. Settings are given as --set NAME=VALUE."),
        ("choose another folder, or --overwrite", "choose another folder, or --overwrite"),
    ],
)
def test_messages_name_options(message, told):
    assert in_options(message) == told


def test_no_message_on_stderr_names_what_python_calls_it(tmp_path, capsys):
    np.save(tmp_path / "stack.npy", np.ones((12, 16, 16), np.uint16))
    for command in (["info"], ["run", "--out", str(tmp_path / "out")], ["calibrate"]):
        assert cli.main([*command, str(tmp_path / "stack.npy")]) == 1
        told = capsys.readouterr().err
        assert "--scan-shape 3,4" in told
        assert "scan_shape" not in told


def test_run_writes_every_promised_file(results):
    promised = {"analysis.stemnmf.h5", "recipe.toml"}
    promised |= {
        f"{kind}-{f}.{end}" for f in ("aa", "rv", "bd") for kind, end in (("grains", "csv"), ("labels", "tif"))
    }
    promised |= {f"overview-{f}.png" for f in ("aa", "rv", "bd")}
    assert {p.name for p in results.iterdir()} == promised


def test_written_files_agree_with_the_analysis(results):
    analysis = stem.Analysis.load(results / "analysis.stemnmf.h5")
    labels = tifffile.imread(results / "labels-aa.tif")
    np.testing.assert_array_equal(labels, analysis.grains["aa"].labels)
    table = pd.read_csv(results / "grains-aa.csv")
    assert len(table) == len(analysis.grains["aa"])
    assert stem.Recipe.load(results / "recipe.toml") == analysis.recipe


def test_score_prints_one_json_object(results, scan, capsys):
    status = cli.main(["score", str(results / "analysis.stemnmf.h5"), "--truth", f"{scan}::labels", "--feature", "aa"])
    assert status == 0
    scores = json.loads(capsys.readouterr().out)
    names = "precision_A TPR_A TNR_A FPR_A FNR_A TPR_G TNR_G FPR_G FNR_G n_true n_found n_true_hit mean_iou f1_iou50"
    assert set(names.split()) <= set(scores)
    assert 0 <= scores["precision_A"] <= 1


def test_same_command_again_computes_nothing(results, scan, capsys):
    assert cli.main(["run", str(scan), "--out", str(results), *QUICK]) == 0
    assert capsys.readouterr().err == ""


def test_a_review_is_kept_and_written_and_not_replaced_unasked(results, scan, tmp_path, capsys):
    reviewed = stem.Analysis.load(results / "analysis.stemnmf.h5")
    first, second, third, *_ = (int(i) for i in reviewed.grains["aa"].ids)
    edits = Edit("delete", (first,)), Edit("reject", (second,)), Edit("accept", (third,))
    reviewed = pipeline.edit(reviewed, "aa", *edits)
    reviewed.save(tmp_path / "analysis.stemnmf.h5")
    assert cli.main(["run", str(scan), "--out", str(tmp_path), *QUICK, "--set", "aa.refinement.min_size=9"]) == 1
    assert "holds a review of AA by hand" in capsys.readouterr().err
    other = ["--features", "rv", "--set", "rv.refinement.min_size=9"]
    assert cli.main(["run", str(scan), "--out", str(tmp_path), *QUICK, *other]) == 0
    assert set(stem.Analysis.load(tmp_path / "analysis.stemnmf.h5").grains) == {"aa", "rv"}
    capsys.readouterr()
    assert cli.main(["run", str(scan), "--out", str(tmp_path), *QUICK]) == 0
    table = pd.read_csv(tmp_path / "grains-aa.csv")
    assert not {first, second} & set(table["grain_id"])
    assert table["verdict"].tolist()[0] == "accepted"
    assert f"AA: {len(table)} grains and 1 that was rejected, from" in capsys.readouterr().out


def test_recipe_command_prints_what_run_reads(scan, tmp_path, capsys):
    assert cli.main(["recipe", *QUICK, "--preset", "paper", "--features", "aa"]) == 0
    recipe = stem.Recipe.from_toml(capsys.readouterr().out)
    assert recipe == stem.Recipe.preset("paper", ["aa"]).replaced(
        {"*.clustering.seeds": 2, "*.clustering.components": 25}
    )
    recipe.save(tmp_path / "r.toml")
    assert cli.main(["run", str(scan), "--out", str(tmp_path / "out"), "--recipe", str(tmp_path / "r.toml")]) == 0
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "analysis.stemnmf.h5", "grains-aa.csv", "labels-aa.tif", "overview-aa.png", "recipe.toml",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["info", "no-such-file.h5"], "no-such-file.h5"),
        (["run", "no-such-file.h5", "--out", "x"], "no-such-file.h5"),
        (["run", "{scan}", "--out", "{tmp}/x", "--features", "bragg"], "bragg"),
        (["run", "{scan}", "--out", "{tmp}/x", "--set", "aa.clustering.sedes=3"], "aa.clustering.sedes"),
        (["run", "{scan}", "--out", "{tmp}/x", "--set", "seeds"], "NAME=VALUE"),
        (["run", "{scan}", "--out", "{scan}/x"], "cannot be made"),
        (["score", "{scan}", "--truth", "{scan}::labels"], "not a napari-stemnmf analysis"),
        (["score", "{results}/analysis.stemnmf.h5", "--truth", "{scan}::nothing"], "nothing"),
    ],
)
def test_bad_input_gets_one_sentence_and_status_1(arguments, said, scan, results, tmp_path, capsys):
    places = {"scan": scan, "tmp": tmp_path, "results": results}
    assert cli.main([a.format(**places) for a in arguments]) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("stemnmf: ")
    assert said in lines[0]
    assert not (tmp_path / "x").exists()


def test_interrupted_run_keeps_its_stages_and_says_so(scan, tmp_path):
    out = tmp_path / "out"
    command = [
        sys.executable,
        "-m",
        "napari_stemnmf.cli",
        "run",
        str(scan),
        "--out",
        str(out),
        "--preset",
        "nmf",
        "--seeds",
        "1000",
    ]
    work = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ})
    try:
        for _ in range(600):
            if (out / "analysis.stemnmf.h5").exists() and stem.Analysis.load(out / "analysis.stemnmf.h5").features:
                break
            time.sleep(0.1)
        time.sleep(1.0)
        work.send_signal(signal.SIGINT)
        _, said = work.communicate(timeout=60)
    finally:
        work.kill()
    assert work.returncode == cli.CANCELLED
    assert "goes on from there" in said
    assert set(stem.Analysis.load(out / "analysis.stemnmf.h5").features) == {"aa", "rv", "bd"}


def test_messages_name_the_options_of_the_command_line(tmp_path, capsys):
    path = tmp_path / "stack.npy"
    np.save(path, np.ones((405, 8, 8), np.uint8))
    assert cli.main(["info", str(path)]) == 1
    assert "as in --scan-shape 20,20, to open it" in capsys.readouterr().err
    assert cli.main(["info", str(path), "--scan-shape", "21,20"]) == 1
    assert "has 405; --scan-shape 20,20 takes the whole rows" in capsys.readouterr().err
    assert cli.main(["info", str(path), "--scan-shape", "20,20"]) == 0
    assert "the last 5 were dropped (--drop first would leave out the first)" in capsys.readouterr().out
    assert cli.main(["info", str(path), "--scan-shape", "20,20", "--drop", "first"]) == 0
    assert "the first 5 were dropped." in capsys.readouterr().out


def test_no_file_of_another_run_stays_beside_the_results(scan, results, tmp_path, capsys, caplog):
    out = tmp_path / "out"
    shutil.copytree(results, out)
    (out / "notes.txt").write_text("mine")
    (out / "grains-xx.csv").write_text("mine, too")
    (out / "labels-rv.tif").write_text("changed by hand")
    assert cli.main(["run", str(scan), "--out", str(out), *QUICK, "--features", "bd"]) == 0
    mine = {"notes.txt", "grains-xx.csv", "labels-rv.tif"}
    of_the_run = {"analysis.stemnmf.h5", "grains-bd.csv", "labels-bd.tif", "overview-bd.png", "recipe.toml"}
    assert {path.name for path in out.iterdir()} == mine | of_the_run
    assert "grains-aa.csv" in caplog.text
    assert "changed by hand since: labels-rv.tif" in caplog.text
    assert stem.Analysis.load(out / "analysis.stemnmf.h5").recipe == stem.Recipe.load(out / "recipe.toml")
    assert list(stem.Analysis.load(out / "analysis.stemnmf.h5").grains) == ["bd"]


def test_what_a_version_without_a_record_left_is_put_aside(scan, results, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(results, out)
    (out / "recipe.toml").write_text(stem.Recipe.load(out / "recipe.toml").to_toml())
    assert cli.main(["run", str(scan), "--out", str(out), *QUICK, "--features", "bd"]) == 0
    assert sorted(path.name for path in (out / "earlier results").iterdir()) == [
        f"{kind}-{feature}.{end}"
        for kind, end in (("grains", "csv"), ("labels", "tif"), ("overview", "png"))
        for feature in ("aa", "rv")
    ]


def test_a_second_run_into_a_folder_is_refused(scan, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    path = str(out / "analysis.stemnmf.h5")
    holding = f"import sys; from napari_stemnmf.files.locks import held\nwith held({path!r}, 'it'):"
    with subprocess.Popen(
        [sys.executable, "-c", f"{holding}\n    print('held', flush=True); sys.stdin.read()"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as first:  # fmt: skip
        assert first.stdout.readline() == "held\n"
        assert cli.main(["run", str(scan), "--out", str(out), *QUICK]) == 1
        said = capsys.readouterr().err
        first.stdin.close()
    assert f"is being written by it (process {first.pid}" in said
    assert len(said.splitlines()) == 1
    assert list(out.iterdir()) == []


def test_overwrite_asks_for_no_more_than_one_sentence(scan, results, tmp_path, capsys):
    out = tmp_path / "out"
    (out / "analysis.stemnmf.h5").mkdir(parents=True)
    assert cli.main(["run", str(scan), "--out", str(out), *QUICK, "--overwrite"]) == 1
    assert "is a folder, not an analysis file" in capsys.readouterr().err
    (tmp_path / "file").touch()
    assert cli.main(["run", str(scan), "--out", str(tmp_path / "file"), *QUICK, "--overwrite"]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
