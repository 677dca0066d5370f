"""udf: a user's functions and classes, in threads and in processes of their own."""

from __future__ import annotations

import logging
import os
import select
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest

from lancemill.errors import PlanError, RunError
from lancemill.media.types import tensor
from lancemill.ops import udf
from lancemill.ops.operation import Place, WorkerContext
from lancemill_api.operations import Udf
from support.sampled import sampled

PLACE = Place("caption", "spec.stages[2].udf")
ROWS = pa.record_batch({"n": pa.array([0, 1, 2, 3, 4, 5], pa.int64()), "key": list("abcdef")})

both = pytest.mark.parametrize("isolation", ["thread", "process"])


@pytest.fixture
def code(tmp_path):
    """Writes a file of user code beside the manifest."""

    def write(text, name="mine.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return path

    return write


def opened(spec, base, schema=ROWS.schema):
    context = WorkerContext(base=base)
    bound = udf.bind(spec, schema, PLACE, udf.resolve(spec, context, PLACE))
    return bound, bound.open(context)


def run(base, rows=ROWS, entrypoint="mine.py:f", schema=None, **options):
    spec = Udf(entrypoint=entrypoint, schema=schema or {"out": "int64"}, **options)
    bound, applied = opened(spec, base, rows.schema)
    try:
        outcome = applied(rows)
    finally:
        applied.close()
    assert outcome.rows.schema == bound.schema
    outcome.rows.validate(full=True)
    return outcome


def refused(spec, base, schema=ROWS.schema):
    with pytest.raises(PlanError) as caught:
        udf.bind(spec, schema, PLACE, udf.resolve(spec, WorkerContext(base=base), PLACE))
    return [str(mistake) for mistake in caught.value.mistakes]


DOUBLE = """
    import pyarrow as pa
    import pyarrow.compute as pc

    def f(batch, factor=2):
        assert isinstance(batch, pa.RecordBatch)
        return {"out": pc.multiply(batch["n"], factor)}
"""


# -- what it is given and gives


@both
def test_a_function_adds_its_column(code, tmp_path, isolation):
    code(DOUBLE)
    outcome = run(tmp_path, isolation=isolation, args={"factor": 3})
    assert outcome.rows["out"].to_pylist() == [0, 3, 6, 9, 12, 15]
    assert outcome.rows["key"].to_pylist() == list("abcdef")


@both
def test_a_class_is_constructed_once_and_used_for_all_batches(code, tmp_path, isolation):
    code("""
        class Counter:
            made = 0

            def __init__(self, start):
                Counter.made += 1
                self.calls = start

            def __call__(self, batch):
                self.calls += 1
                return {"calls": [self.calls] * len(batch), "made": [Counter.made] * len(batch)}
    """)
    spec = Udf(
        entrypoint="mine.py:Counter",
        kind="actor",
        args={"start": 10},
        schema={"made": "int32", "calls": "int32"},
        isolation=isolation,
    )
    bound, applied = opened(spec, tmp_path)
    outcomes = [applied(ROWS.slice(at, 2)) for at in range(0, 6, 2)]
    applied.close()
    assert bound.serial
    assert [outcome.rows["calls"][0].as_py() for outcome in outcomes] == [11, 12, 13]
    assert [outcome.rows["made"][0].as_py() for outcome in outcomes] == [1, 1, 1]


def test_only_the_named_inputs_are_given(code, tmp_path):
    code("""
        def f(batch):
            return {"out": [",".join(batch.schema.names)] * len(batch)}
    """)
    outcome = run(tmp_path, inputs=("key",), schema={"out": "string"})
    assert set(outcome.rows["out"].to_pylist()) == {"key"}
    assert outcome.rows.schema.names == ["n", "key", "out"]


def test_tables_batches_lists_and_arrays_are_taken_and_columns_replaced(code, tmp_path):
    code("""
        import numpy as np
        import pyarrow as pa

        def table(batch):
            half = pa.array([b"x"] * len(batch))
            return pa.table({"n": pa.chunked_array([half.slice(0, 2), half.slice(2)])})

        def arrays(batch):
            n = len(batch)
            return {
                "vector": np.ones((n, 4), np.float32),
                "pixels": np.zeros((n, 2, 2, 3), np.uint8),
                "text": np.array(["a"] * n, object),
                "some": [None, *range(1, n)],
            }
    """)
    outcome = run(tmp_path, entrypoint="mine.py:table", schema={"n": "binary"})
    assert outcome.rows.schema.field("n").type == pa.binary()
    outcome = run(
        tmp_path,
        entrypoint="mine.py:arrays",
        schema={
            "vector": "float32[4]",
            "pixels": "uint8[2,2,3]",
            "text": "string",
            "some": "int16",
        },
    )
    assert outcome.rows.schema.field("pixels").type == tensor(2, 2, 3)
    assert outcome.rows["vector"].to_pylist()[0] == [1.0] * 4
    assert outcome.rows["some"].to_pylist() == [None, 1, 2, 3, 4, 5]


@both
def test_pictures_go_in_and_come_out(code, tmp_path, isolation):
    code("""
        def f(batch):
            pixels = batch["image"].to_numpy_ndarray()
            return {"negative": 255 - pixels}
    """)
    storage = pa.FixedSizeListArray.from_arrays(pa.array(range(24), pa.uint8()), 12)
    rows = pa.record_batch({"image": pa.ExtensionArray.from_storage(tensor(2, 2, 3), storage)})
    outcome = run(tmp_path, rows, isolation=isolation, schema={"negative": "uint8[2,2,3]"})
    assert outcome.rows["negative"].to_numpy_ndarray().reshape(-1).tolist() == list(
        range(255, 231, -1)
    )


# -- the declared schema

MAKES = """
    from datetime import datetime
    from decimal import Decimal

    import numpy as np
    import pyarrow as pa

    def objects(values):
        return np.array(values, object)

    def f(batch):
        n = len(batch)
        return {"out": %s}
"""


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ("{}", "returned the columns (none), expected out"),
        ("{'out': n, 'more': n}", "returned the columns more, out, expected out"),
        ("{'out': n[:-1]}", "returned 5 rows of out, expected 6"),
        ("{'out': n.cast('int32')}", "returned out as int32, expected int64"),
        ("{'out': ['x'] * 6}", "returned out as list, which is no int64"),
        ("{'out': np.ones(6, np.float32)}", "which is no int64: its items are float32"),
        ("{'out': np.ones((6, 2), np.int64)}", "its shape for each row is [2]"),
        ("None", "returned NoneType, expected a RecordBatch, a Table or a dict"),
    ],
)
def test_a_result_that_is_not_what_is_declared_ends_the_run(code, tmp_path, result, said):
    code(f"""
        import numpy as np

        def f(batch):
            n = batch["n"]
            return {result}
    """)
    with pytest.raises(RunError) as caught:
        run(tmp_path)
    assert str(caught.value).startswith("stage 'caption': mine.py:f returned ")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "values", "said"),
    [
        ("int64", "[1, None, 2.0, 3, 4, 1.7]", "as list, which is no int64: row 5 is 1.7"),
        ("int8", "[np.float64(0.5)] * n", "row 0 is np.float64(0.5), of which 0 would be left"),
        ("int32", "[Decimal('1.5')] * n", "row 0 is Decimal('1.5'), of which 1 would be left"),
        ("int32", "(i / 2 for i in range(n))", "row 1 is 0.5, of which 0 would be left"),
        ("int32", "objects([1] * 5 + [1.5])", "as ndarray, which is no int32: row 5 is 1.5"),
        ("list<int32>", "[[1], []] + [None, [1.5]] * 2", "row 3 is [1.5], of which [1] would"),
        ("list<int32>", "[np.array([1.5])] * n", "row 0 is array([1.5]), of which [1] would"),
        ("list<int64>", "[np.ma.array([1], mask=[1])] * n", "row 0 is masked_array("),
        ("int32[2]", "[[1, 2]] * 5 + [(2, 2.5)]", "row 5 is (2, 2.5), of which [2, 2] would"),
        ("uint8[1,2,1]", "[np.full((1, 2, 1), 0.5)] * n", "row 0 is array([[[0.5], [0.5]]])"),
        ("int32[2]", "np.ma.array([[1, 2]] * n, mask=[[0, 1]] * n)", "a part of it is masked"),
        ("struct<x: int32>", "[None, {'x': 1.5}] * 3", "row 1 is {'x': 1.5}, of which {'x': 1}"),
        ("struct<x: int32>", "[{'x': 1, 'y': 2}] * n", "row 0 is {'x': 1, 'y': 2}, of which {'x'"),
        ("struct<x: list<int8>>", "[([1.5],)] * n", "row 0 is ([1.5],), of which {'x': [1]}"),
        ("timestamp[s]", "[datetime(2020, 1, 2, 3, 4, 5, 6)] * n", "row 0 is datetime.datetime("),
        ("timestamp[ms]", "[datetime(2020, 1, 2, 3, 4, 5, 6)] * n", "row 0 is datetime.datetime("),
        ("timestamp", "[1.5] * n", "row 0 is 1.5, of which datetime.datetime("),
        ("date", "[datetime(2020, 1, 2, 3)] * n", "of which datetime.date(2020, 1, 2) would be"),
        ("float32", "[0.1, None, 1e300] * 2", "row 2 is 1e+300, of which inf would be left"),
        ("float32[1]", "[np.array([1e300])] * n", "row 0 is array([1.e+300]), of which [inf]"),
        ("float16", "[70000.0] * n", "row 0 is 70000.0, of which inf would be left"),
        ("float16", "[2048, 2049] * 3", "row 1 is 2049, of which 2048.0 would be left"),
        ("string", "'abcdef'", "as str, which is no string: it is one value, and not one for"),
    ],
)
def test_a_value_of_which_only_a_part_would_be_left_ends_the_run(
    code, tmp_path, kind, values, said
):
    code(MAKES % values)
    with pytest.raises(RunError) as caught:
        run(tmp_path, schema={"out": kind})
    assert str(caught.value).startswith("stage 'caption': mine.py:f returned out as ")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("int8", "[1, None, 2.0, np.float32(3), np.int64(4), Decimal(5)]"),
        ("int64", "np.ma.array(range(n), mask=[1] + [0] * 5)"),
        ("int64", "np.ma.array(range(n), mask=[1] + [0] * 5, dtype=object)"),
        ("int64", "[pa.scalar(1)] * n"),
        ("float32", "[0.1, None, float('inf'), float('nan'), 1, np.float64(2)]"),
        ("float16", "[0.1, None, 2048, -float('inf'), 65504.0, 0]"),
        ("float32[2]", "np.ma.ones((n, 2), np.float32)"),
        ("list<float32>", "[[0.1, None], None, np.array([0.1]), [], (1,), np.array([1])]"),
        ("struct<x: int8>", "[{'x': 1}, None, {}] * 2"),
        ("timestamp[s]", "[datetime(2020, 1, 2, 3, 4, 5), None] * 3"),
        ("timestamp", "[datetime(2020, 1, 2, 3, 4, 5, 6)] * n"),
        ("date", "[datetime(2020, 1, 2), datetime(2020, 1, 2).date()] * 3"),
        ("image", "[{'data': b'x', 'height': 1, 'width': 1, 'channels': 1}, None] * 3"),
    ],
)
def test_a_value_that_fits_as_it_is_is_taken(code, tmp_path, kind, values):
    code(MAKES % values)
    assert len(run(tmp_path, schema={"out": kind}).rows["out"]) == 6


def test_a_process_is_held_to_the_declared_schema_too(code, tmp_path):
    code("def f(batch): return {'out': [1]}")
    with pytest.raises(RunError, match=r"'caption': mine\.py:f returned 1 rows of out, expected 6"):
        run(tmp_path, isolation="process")


def test_columns_come_in_the_order_of_their_names_whatever_the_function_s_order(code, tmp_path):
    code("def f(batch):\n    return {'b': [1] * len(batch), 'a': [2] * len(batch)}")
    outcome = run(tmp_path, schema={"b": "int8", "a": "int8"})
    assert outcome.rows.schema.names == ["n", "key", "a", "b"]


# -- rows that fail

PICKY = """
    import os, signal, time

    def f(batch, how="raise", bad=(1, 4)):
        for n in batch["n"].to_pylist():
            if n in bad:
                if how == "raise":
                    raise ValueError(f"no {n}\\nsecond line")
                if how == "segfault":
                    os.kill(os.getpid(), signal.SIGSEGV)
                if how == "exit":
                    os._exit(7)
                if how == "stall":
                    time.sleep(60)
        return {"out": batch["n"]}
"""


@both
def test_only_rows_that_raise_are_faults(code, tmp_path, isolation, caplog):
    code(PICKY)
    with caplog.at_level(logging.DEBUG):
        outcome = run(tmp_path, isolation=isolation)
    assert outcome.rows["out"].to_pylist() == [0, None, 2, 3, None, 5]
    assert [(f.row, f.stage, f.reason, f.message) for f in outcome.faults] == [
        (1, "caption", "UdfError", "ValueError: no 1"),
        (4, "caption", "UdfError", "ValueError: no 4"),
    ]
    assert "mine.py" in caplog.text


@pytest.mark.parametrize("what", ["SystemExit(0)", "GeneratorExit()", "BaseException('no')"])
@both
def test_a_row_for_which_a_function_would_end_the_program_is_a_fault(
    code, tmp_path, what, isolation
):
    code(f"""
        def f(batch):
            if 3 in batch["n"].to_pylist():
                raise {what}
            return {{"out": batch["n"]}}
    """)
    outcome = run(tmp_path, isolation=isolation)
    assert outcome.rows["out"].to_pylist() == [0, 1, 2, None, 4, 5]
    said = f"RuntimeError: raised {what}, which would end the whole program"
    assert [(f.row, f.reason, f.message) for f in outcome.faults] == [(3, "UdfError", said)]


def test_an_interrupt_in_a_function_is_no_fault(code, tmp_path):
    code("def f(batch): raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path)


@both
def test_a_class_that_would_end_the_program_ends_the_run_when_it_is_opened(
    code, tmp_path, isolation
):
    code("import sys\nclass C:\n  def __init__(self): sys.exit('no weights')")
    said = r"mine\.py:C failed to set up: RuntimeError: raised SystemExit\('no weights'\)"
    with pytest.raises(RunError, match=said):
        run(tmp_path, entrypoint="mine.py:C", kind="actor", isolation=isolation)


def test_a_class_that_would_end_the_program_when_it_is_closed_raises_an_error(code, tmp_path):
    code("""
        class C:
            def __call__(self, batch):
                return {"out": batch["n"]}

            def close(self):
                raise SystemExit
    """)
    with pytest.raises(RuntimeError, match=r"raised SystemExit\(\)"):
        run(tmp_path, entrypoint="mine.py:C", kind="actor")


@pytest.mark.parametrize(
    ("how", "said"),
    sampled([("segfault", "was ended by SIGSEGV"), ("exit", "ended with status 7")], first=1),
)
def test_only_rows_that_crash_the_process_are_faults(code, tmp_path, how, said):
    code(PICKY)
    outcome = run(tmp_path, isolation="process", args={"how": how, "bad": [4]})
    assert outcome.rows["out"].to_pylist() == [0, 1, 2, 3, None, 5]
    (fault,) = outcome.faults
    assert (fault.row, fault.reason) == (4, "WorkerCrashed")
    assert said in fault.message


def test_only_rows_that_stall_are_faults_and_cost_their_time_limit(code, tmp_path):
    code(PICKY)
    began = time.monotonic()
    outcome = run(
        tmp_path,
        ROWS.slice(0, 2),
        isolation="process",
        row_timeout="2s",
        args={"how": "stall", "bad": [1]},
    )
    assert outcome.rows["out"].to_pylist() == [0, None]
    (fault,) = outcome.faults
    assert (fault.row, fault.reason) == (1, "Timeout")
    assert "2s" in fault.message
    assert time.monotonic() - began < 50  # and not the 60 s for which the row stalls


def test_a_process_is_followed_by_a_fresh_one_after_as_many_rows_as_asked(code, tmp_path):
    code("""
        import os

        def f(batch):
            return {"out": [os.getpid()] * len(batch["n"])}
    """)
    spec = Udf(
        entrypoint="mine.py:f",
        schema={"out": "int64"},
        isolation="process",
        restart_after={"rows": 4},
    )
    _, applied = opened(spec, tmp_path)
    try:
        seen = [applied(ROWS.slice(0, 2)).rows["out"][0].as_py() for _ in range(6)]
        assert not any(Path(f"/proc/{pid}").exists() for pid in seen), "they are not kept"
    finally:
        applied.close()
    assert len(set(seen)) == 3
    assert seen == sorted(seen, key=seen.index), "one after the other"


def test_an_empty_batch_is_not_a_fault(code, tmp_path):
    code(DOUBLE)
    assert len(run(tmp_path, ROWS.slice(0, 0)).rows) == 0


def test_several_threads_may_call_a_function_at_once(code, tmp_path):
    code("""
        import threading

        together = threading.Barrier(2, timeout=60)

        def f(batch):
            together.wait()
            return {"out": batch["n"]}
    """)
    spec = Udf(entrypoint="mine.py:f", schema={"out": "int64"})
    bound, applied = opened(spec, tmp_path)
    assert not bound.serial
    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(applied, [ROWS.slice(0, 3), ROWS.slice(3, 3)]))
    applied.close()
    assert [outcome.rows["out"].to_pylist() for outcome in outcomes] == [[0, 1, 2], [3, 4, 5]]


def test_several_threads_get_a_process_each(code, tmp_path):
    code("""
        import os, pathlib, time

        def f(batch, folder):
            (pathlib.Path(folder) / str(os.getpid())).touch()
            while len(list(pathlib.Path(folder).iterdir())) < 2:
                time.sleep(0.01)
            return {"out": batch["n"]}
    """)
    folder = tmp_path / "pids"
    folder.mkdir()
    spec = Udf(
        entrypoint="mine.py:f",
        schema={"out": "int64"},
        isolation="process",
        args={"folder": str(folder)},
    )
    _, applied = opened(spec, tmp_path)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(applied, [ROWS.slice(0, 3), ROWS.slice(3, 3)]))
    applied.close()
    assert len(list(folder.iterdir())) == 2


# -- setting up


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import not_there_at_all\nclass C: ...", "ModuleNotFoundError: No module named"),
        ("class C:\n  def __init__(self): raise OSError('no weights')", "OSError: no weights"),
        ("class C: ...", "has no __call__(batch)"),
        ("def C(batch): ...", "is no class, as kind actor needs it"),
    ],
)
def test_what_cannot_be_set_up_ends_the_run_when_it_is_opened(code, tmp_path, text, said):
    code(text)
    spec = Udf(entrypoint="mine.py:C", kind="actor", schema={"o": "int8"})
    with pytest.raises(RunError) as caught:
        opened(spec, tmp_path)
    assert str(caught.value).startswith("stage 'caption': mine.py:C")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import not_there_at_all", "failed to set up: ModuleNotFoundError: No module named"),
        ("import os; os._exit(3)", "failed to set up: the function's process ended with status 3"),
    ],
)
def test_a_process_that_cannot_be_set_up_ends_the_run_too(code, tmp_path, text, said):
    code(text + "\ndef f(batch): ...")
    with pytest.raises(RunError, match=said):
        run(tmp_path, isolation="process")


def test_setting_up_is_tried_as_often_as_allowed(code, tmp_path):
    code("""
        import pathlib

        class C:
            def __init__(self, tries):
                tries = pathlib.Path(tries)
                tries.write_text(tries.read_text() + "x")
                if len(tries.read_text()) < 3:
                    raise OSError("not yet")

            def __call__(self, batch):
                return {"out": batch["n"]}
    """)
    tries = tmp_path / "tries"
    tries.write_text("")
    options = {"entrypoint": "mine.py:C", "kind": "actor"}
    with pytest.raises(RunError, match="not yet"):
        run(tmp_path, args={"tries": str(tries)}, setup={"attempts": 2}, **options)
    tries.write_text("")
    run(tmp_path, args={"tries": str(tries)}, setup={"attempts": 3}, **options)
    assert tries.read_text() == "xxx"


@both
def test_setting_up_has_a_time_limit(code, tmp_path, isolation):
    code("""
        import time

        class C:
            def __init__(self):
                time.sleep(5)

            def __call__(self, batch): ...
    """)
    with pytest.raises(RunError, match="took longer than 200ms to set up"):
        run(
            tmp_path,
            entrypoint="mine.py:C",
            kind="actor",
            isolation=isolation,
            setup={"timeout": "200ms"},
        )


# -- processes end


def test_a_process_ends_with_the_operation_and_what_it_prints_is_seen(code, tmp_path, capfd):
    code("""
        import os

        def f(batch):
            print("pid", os.getpid())
            return {"out": batch["n"]}
    """)
    run(tmp_path, isolation="process")
    out, said = capfd.readouterr()
    assert (out, said[:4]) == ("", "pid ")
    with pytest.raises(ProcessLookupError):
        os.kill(int(said.split()[1]), 0)


def test_a_busy_process_ends_when_its_parent_is_killed(code, tmp_path):
    code("""
        import os, sys, time

        def f(batch):
            print(os.getpid(), flush=True)
            time.sleep(100)
    """)
    parent = textwrap.dedent(f"""
        from pathlib import Path
        import pyarrow as pa
        from lancemill.ops.udf_process import Child, Setup
        child = Child(Setup("mine.py:f", {str(tmp_path)!r}, "task"), pa.schema([]))
        child.prepare(60)
        child.call(pa.record_batch({{"n": [1]}}), None)
    """)
    with subprocess.Popen([sys.executable, "-c", parent], stderr=subprocess.PIPE) as process:
        assert process.stderr.readline().strip().isdigit()
        process.kill()
        # Both write to this pipe: it ends when the last of them has.
        ended, _, _ = select.select([process.stderr], [], [], 60)
        assert ended, "the child outlived its parent"
        assert process.stderr.read() == b""


def test_closing_ends_a_call_that_is_under_way(code, tmp_path):
    code("""
        import pathlib, time

        def f(batch, mark):
            pathlib.Path(mark).touch()
            time.sleep(60)
    """)
    mark = tmp_path / "mark"
    spec = Udf(
        entrypoint="mine.py:f",
        schema={"out": "int64"},
        isolation="process",
        args={"mark": str(mark)},
    )
    _, applied = opened(spec, tmp_path)
    failures = []

    def use():
        try:
            applied(ROWS)
        except RunError as error:
            failures.append(error)

    thread = threading.Thread(target=use)
    thread.start()
    while not mark.exists():
        time.sleep(0.01)
    applied.close()
    thread.join(60)
    assert "was stopped" in str(failures[0])


# -- where code is found


def test_modules_beside_the_manifest_can_be_imported_and_import_each_other(code, tmp_path):
    code("VALUE = 7", "udf_neighbour.py")
    code("from udf_neighbour import VALUE\ndef f(b): return {'out': [VALUE] * len(b)}", "mine.py")
    code("", "udf_package/__init__.py")
    code("from .inner import f", "udf_package/outer.py")
    code("def f(b): return {'out': [8] * len(b)}", "udf_package/inner.py")
    path = list(sys.path)
    assert run(tmp_path, entrypoint="mine.py:f").rows["out"][0].as_py() == 7
    assert run(tmp_path, entrypoint="udf_package.outer:f").rows["out"][0].as_py() == 8
    outcome = run(tmp_path, entrypoint="udf_package.outer:f", isolation="process")
    assert outcome.rows["out"][0].as_py() == 8
    assert sys.path == path


def test_an_edited_file_is_loaded_anew(code, tmp_path):
    for value in (1, 2):
        code(f"def f(b): return {{'out': [{value}] * len(b)}}", "mine.py")
        code(f"def f(b): return {{'out': [{value}] * len(b)}}", "udf_edited.py")
        assert run(tmp_path).rows["out"][0].as_py() == value
        if value == 2:
            os.utime(tmp_path / "udf_edited.py", (0, 0))
        assert run(tmp_path, entrypoint="udf_edited:f").rows["out"][0].as_py() == value


def test_the_meaning_is_the_code_s_hash_and_finding_it_runs_nothing(code, tmp_path):
    code("raise SystemExit\ndef f(b): ...", "udf_explosive/__init__.py")
    code("raise SystemExit\ndef f(b): ...", "udf_explosive/inner.py")
    spec = Udf(entrypoint="udf_explosive.inner:f", schema={"out": "int64"})
    context = WorkerContext(base=tmp_path)

    def meaning():
        return udf.bind(spec, ROWS.schema, PLACE, udf.resolve(spec, context, PLACE)).meaning

    first = meaning()
    assert meaning() == first
    code("raise SystemExit\ndef f(b): pass", "udf_explosive/inner.py")
    assert meaning() != first


@pytest.mark.parametrize(
    ("entrypoint", "said"),
    [
        ("gone.py:f", "there is no file"),
        ("gone.module:f", "there is no module gone in"),
        ("json.gone:f", "there is no module json.gone in"),
        ("mine.py:g", "has no 'g'; it has: f, helper"),
        ("broken.py:f", "broken.py:1: "),
    ],
)
def test_code_that_is_not_there_is_told_before_anything_runs(code, tmp_path, entrypoint, said):
    code("from os import path as helper\nif True:\n    def f(b): ...")
    code("def f(:", "broken.py")
    (mistake,) = refused(Udf(entrypoint=entrypoint, schema={"out": "int64"}), tmp_path)
    assert mistake.startswith("spec.stages[2].udf.entrypoint  ")
    assert said in mistake


def test_inputs_that_are_not_there_are_told_at_once(code, tmp_path):
    code(DOUBLE)
    spec = Udf(entrypoint="mine.py:f", schema={"out": "int64"}, inputs=("m", "n", "kei"))
    assert refused(spec, tmp_path) == [
        "spec.stages[2].udf.inputs[0]  column 'm' is made by no earlier stage; there are: n, key",
        "spec.stages[2].udf.inputs[2]  column 'kei' is made by no earlier stage; "
        "did you mean key? there are: n, key",
    ]
