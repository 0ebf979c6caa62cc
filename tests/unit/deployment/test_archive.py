"""Archives that depend on nothing but what is in them."""

import importlib.util
import os
import shutil
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from modelwatch_cli.deployment.building.archive import (
    build_once,
    compile_bytecode,
    put_in_place,
    unzipped_bytes,
    write_zip,
)
from modelwatch_cli.digests import digest, tree_digest


def write(root, **files):
    for name, content in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".py").write_text(content)
    return root


def test_equal_trees_make_equal_bytes_whenever_they_were_written(tmp_path):
    one = write(tmp_path / "one", b="2", a__c="1")
    two = write(tmp_path / "two", a__c="1", b="2")
    os.utime(two / "b.py", (1, 1))
    write_zip(one, tmp_path / "1.zip")
    write_zip(two, tmp_path / "2.zip")
    assert (tmp_path / "1.zip").read_bytes() == (tmp_path / "2.zip").read_bytes()
    assert zipfile.ZipFile(tmp_path / "1.zip").namelist() == ["a/c.py", "b.py"]
    assert unzipped_bytes(tmp_path / "1.zip") == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.zip", "2.zip", "one", "two"]


def test_everybody_may_read_what_was_packed(tmp_path):
    tree = write(tmp_path / "tree", a="1")
    (tree / "a.py").chmod(0o600)
    write_zip(tree, tmp_path / "a.zip")
    (info,) = zipfile.ZipFile(tmp_path / "a.zip").infolist()
    assert info.external_attr >> 16 == 0o100644


def test_bytecode_is_used_without_looking_at_the_source_and_names_where_it_runs(tmp_path):
    tree = write(tmp_path, module="def where(): return where.__code__.co_filename")
    compile_bytecode(tree, "/opt/python")
    cached = importlib.util.cache_from_source(str(tree / "module.py"))
    with open(cached, "rb") as file:
        data = file.read()
    assert int.from_bytes(data[4:8], "little") == 0b01  # by hash, and not checked
    assert b"/opt/python/module.py" in data


def test_a_source_that_does_not_compile_is_left_alone(tmp_path):
    tree = write(tmp_path, template="class {{ name }}: pass", good="x = 1")
    compile_bytecode(tree, "/opt/python")
    assert [path.name.split(".")[0] for path in tree.rglob("*.pyc")] == ["good"]


def test_a_digest_sees_names_and_contents_and_no_caches(tmp_path):
    tree = write(tmp_path, a="1")
    before = tree_digest(tree)
    write(tree, __pycache____junk="x")
    assert tree_digest(tree) == before
    (tree / "a.py").rename(tree / "b.py")
    renamed = tree_digest(tree)
    (tree / "b.py").write_text("2")
    assert len({before, renamed, tree_digest(tree)}) == 3
    assert digest("a", b"b") == digest(b"a", "b")


def test_of_two_that_build_the_same_the_first_wins(tmp_path):
    for name in ("first", "second"):
        put_in_place(write(tmp_path / name, which=name), tmp_path / "target")
    assert (tmp_path / "target" / "which.py").read_text() == "first"


def test_a_folder_that_cannot_be_put_in_place_is_an_error(tmp_path):
    with pytest.raises(OSError, match="No such file"):
        put_in_place(write(tmp_path / "built", a="1"), tmp_path / "missing" / "target")


def test_of_those_that_need_the_same_at_once_one_builds_it(tmp_path):
    target, builds, both = tmp_path / "made" / "it", [], Barrier(2)

    def build(scratch):
        builds.append(scratch)
        (scratch / "built").write_text("whole")
        return scratch / "built"

    def need(_):
        both.wait()
        build_once(target, build)

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(need, range(2)))
    assert target.read_text() == "whole"
    assert len(builds) == 1
    assert not builds[0].exists()


def test_a_build_that_fails_leaves_nothing_and_is_tried_again(tmp_path):
    target = tmp_path / "it"

    def fail(scratch):
        (scratch / "half").write_text("half")
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        build_once(target, fail)
    assert [path.name for path in tmp_path.iterdir()] == [".it.lock"]
    build_once(target, lambda scratch: Path(shutil.copy(__file__, scratch / "built")))
    assert target.exists()
