"""infer: real models from a package, and small ones whose every number is known."""

from __future__ import annotations

import hashlib
import shutil

import numpy as np
import obstore
import onnxruntime
import pyarrow as pa
import pytest

from lancemill.errors import PlanError, RunError
from lancemill.media.types import IMAGE, tensor, tensor_array
from lancemill.ops import infer
from lancemill.ops.infer_inputs import scaling
from lancemill.ops.operation import UNKNOWN, Place, WorkerContext
from lancemill_api.operations import Infer, ModelFile
from support import material
from support.onnx_file import write_model

PLACE = Place("embed", "spec.stages[4].infer")
CLS_OUTPUT = "save_infer_model/scale_0.tmp_1"
"""The text direction classifier: x float[n, 3, ?, ?] → [n, 2]."""


@pytest.fixture(scope="module")
def pixels():
    """Eight crops of a real picture, 48x192, as the classifier was trained on."""
    import cv2

    (path,) = [path for path in material.pictures() if path.name == "grace_hopper.jpg"]
    picture = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    return np.stack([picture[at : at + 48, at : at + 192] for at in range(0, 160, 20)])


def spec_of(model, inputs, outputs, **options):
    given = {"uri": str(model)} if not isinstance(model, dict) else model
    return Infer(model=given, inputs=inputs, outputs=outputs, **options)


def bound_of(spec, schema, base=None):
    context = WorkerContext(base=base) if base else WorkerContext()
    return infer.bind(spec, schema, PLACE, infer.resolve(spec, context, PLACE))


def run(spec, rows):
    bound = bound_of(spec, rows.schema)
    applied = bound.open(WorkerContext(cores=1))
    outcome = applied(rows)
    applied.close()
    assert outcome.rows.schema == bound.schema
    assert len(outcome.rows) == len(rows)
    outcome.rows.validate(full=True)
    return outcome


def mistakes_of(spec, schema):
    with pytest.raises(PlanError) as caught:
        bound_of(spec, schema)
    return [str(mistake) for mistake in caught.value.mistakes]


def identity(folder, element="float", shape=("n", 2), name="identity.onnx", out=None):
    """A model whose output `y` is its input `x`."""
    return write_model(
        folder / name,
        {"x": (element, shape)},
        [("Identity", ["x"], ["y"])],
        {"y": (element, out or shape)},
    )


def vectors(values, kind=None):
    values = np.asarray(values)
    array = pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1])
    return array if kind is None else array.cast(kind)


def values_of(outcome, column="y"):
    return np.array(outcome.rows[column].to_pylist())


# -- a trained model


def test_a_trained_classifier_gives_what_onnxruntime_gives(pixels):
    rows = pa.record_batch({"image": tensor_array(pixels)})
    spec = spec_of(material.model("cls"), {"image": "x"}, {CLS_OUTPUT: "side"}, normalize="half")
    outcome = run(spec, rows)
    session = onnxruntime.InferenceSession(str(material.model("cls")))
    scaled = pixels.transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1
    (expected,) = session.run([CLS_OUTPUT], {"x": scaled})
    assert outcome.rows.schema.field("side").type == pa.list_(pa.float32(), 2)
    np.testing.assert_allclose(values_of(outcome, "side"), expected, atol=1e-5)
    np.testing.assert_allclose(values_of(outcome, "side").sum(axis=1), 1, atol=1e-5)


def test_sizes_that_a_model_leaves_open_are_found_by_trying_it():
    rows = pa.record_batch({"image": tensor_array(np.zeros((2, 64, 96, 3), np.uint8))})
    spec = spec_of(material.model("det"), {"image": "x"}, {"sigmoid_0.tmp_0": "mask"})
    outcome = run(spec, rows)
    kind = outcome.rows.schema.field("mask").type
    assert kind == pa.fixed_shape_tensor(pa.float32(), [1, 64, 96])


def test_results_do_not_depend_on_how_rows_are_cut(pixels):
    rows = pa.record_batch({"image": tensor_array(np.concatenate([pixels] * 5))})
    found = []
    for batch_size in (1, 3, 64):
        spec = spec_of(
            material.model("cls"), {"image": "x"}, {CLS_OUTPUT: "side"}, batch_size=batch_size
        )
        found.append(values_of(run(spec, rows), "side"))
    np.testing.assert_allclose(found[0], found[1], atol=1e-6)
    np.testing.assert_allclose(found[0], found[2], atol=1e-6)
    np.testing.assert_allclose(found[0][:8], found[0][8:16], atol=1e-6)


def test_a_model_comes_from_a_store_and_its_hash_is_its_meaning(pixels):
    from lancemill.storage import open_store

    content = material.model("cls").read_bytes()
    obstore.put(open_store("memory://models").store, "a/cls.onnx", content)
    digest = hashlib.sha256(content).hexdigest()
    # A store in memory is for tests only, so the API's pattern of uris does not have it.
    file = ModelFile.model_construct(uri="memory://models/a/cls.onnx", sha256=digest, storage=None)
    spec = spec_of(material.model("cls"), {"image": "x"}, {CLS_OUTPUT: "side"})
    spec = spec.model_copy(update={"model": file})
    rows = pa.record_batch({"image": tensor_array(pixels)})
    assert bound_of(spec, rows.schema).meaning == {"model": digest}
    assert len(run(spec, rows).rows) == 8


# -- pictures


@pytest.mark.parametrize("layout", ["auto", "NCHW", "NHWC"])
@pytest.mark.parametrize("normalize", ["none", "unit", "half", "imagenet", "clip"])
def test_pixels_arrive_in_the_layout_and_scale_that_is_asked_for(
    tmp_path, pixels, layout, normalize
):
    last = layout == "NHWC"
    shape = ("n", 48, 192, 3) if last else ("n", 3, "h", "w")
    model = identity(tmp_path, shape=shape)
    spec = spec_of(model, {"image": "x"}, {"y": "y"}, layout=layout, normalize=normalize)
    outcome = run(spec, pa.record_batch({"image": tensor_array(pixels)}))
    got = outcome.rows["y"].to_numpy_ndarray()
    got = got if last else got.transpose(0, 2, 3, 1)
    unit = pixels / 255.0
    expected = {
        "none": pixels,
        "unit": unit,
        "half": pixels / 127.5 - 1,
        "imagenet": (unit - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225],
        "clip": (unit - [0.48145466, 0.4578275, 0.40821073]) / [0.26862954, 0.26130258, 0.27577711],
    }[normalize]
    np.testing.assert_allclose(got, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "channels", "first"),
    [
        (("n", 3, 8, 8), 3, True),
        (("n", 8, 8, 3), 3, False),
        (("n", "h", "w", 3), 3, False),
        (("n", "h", "w", 1), 1, False),
        (("n", "c", "h", "w"), 3, True),
        (("n", 1, 8, 8), 1, True),
        (("n", 4, 8, 8), 4, True),
    ],
)
def test_the_layout_is_read_from_the_model_s_shape(tmp_path, shape, channels, first):
    image = np.arange(8 * 8 * channels, dtype=np.uint8).reshape(1, 8, 8, channels)
    rows = pa.record_batch({"image": tensor_array(image)})
    outcome = run(spec_of(identity(tmp_path, shape=shape), {"image": "x"}, {"y": "y"}), rows)
    got = outcome.rows["y"].to_numpy_ndarray()
    np.testing.assert_array_equal(got, image.transpose(0, 3, 1, 2) if first else image)


@pytest.mark.parametrize("element", ["uint8", "float16"])
def test_pixels_are_cast_to_the_input_s_type(tmp_path, pixels, element):
    model = identity(tmp_path, element, ("n", 48, 192, 3))
    outcome = run(
        spec_of(model, {"image": "x"}, {"y": "y"}),
        pa.record_batch({"image": tensor_array(pixels)}),
    )
    np.testing.assert_array_equal(outcome.rows["y"].to_numpy_ndarray(), pixels)


def test_a_slice_of_a_batch_feeds_its_own_rows(tmp_path, pixels):
    rows = pa.record_batch({"image": tensor_array(pixels)}).slice(3, 2)
    outcome = run(
        spec_of(identity(tmp_path, shape=("n", 48, 192, 3)), {"image": "x"}, {"y": "y"}), rows
    )
    np.testing.assert_array_equal(outcome.rows["y"].to_numpy_ndarray(), pixels[3:5])


def test_scaling_grey_is_the_same_for_its_one_channel():
    scale, bias = scaling("half", 1)
    np.testing.assert_allclose(255 * scale + bias, [1.0], atol=1e-6)


# -- numbers, text, several of them


def test_numbers_vectors_and_text_go_in_and_come_out(tmp_path):
    model = write_model(
        tmp_path / "many.onnx",
        {
            "vector": ("float", ("n", 3)),
            "number": ("int64", ("n",)),
            "column": ("float", ("n", 1)),
            "word": ("string", ("n", 1)),
            "flag": ("bool", ("n",)),
        },
        [
            ("Add", ["vector", "column"], ["sum"]),
            ("Identity", ["number"], ["same"]),
            ("Identity", ["column"], ["one"]),
            ("Identity", ["word"], ["words"]),
            ("Not", ["flag"], ["other"]),
        ],
        {
            "sum": ("float", ("n", 3)),
            "same": ("int64", ("n",)),
            "one": ("float", ("n", 1)),
            "words": ("string", ("n", 1)),
            "other": ("bool", ("n",)),
        },
    )
    rows = pa.record_batch(
        {
            "v": vectors(np.arange(9.0).reshape(3, 3)),
            "k": pa.array([1, 2, 3], pa.int32()),
            "f": pa.array([10.0, 20.0, 30.0], pa.float64()),
            "w": ["a", "ü", ""],
            "b": [True, False, True],
        }
    )
    spec = spec_of(
        model,
        {"v": "vector", "k": "number", "f": "column", "w": "word", "b": "flag"},
        {"sum": "s", "same": "k2", "one": "o", "words": "w2", "other": "b"},
    )
    outcome = run(spec, rows)
    assert values_of(outcome, "s").tolist() == [[10, 11, 12], [23, 24, 25], [36, 37, 38]]
    assert outcome.rows["k2"].to_pylist() == [1, 2, 3]
    assert outcome.rows["o"].to_pylist() == [10, 20, 30]
    assert outcome.rows["w2"].to_pylist() == ["a", "ü", ""]
    assert outcome.rows["b"].to_pylist() == [False, True, False]
    assert outcome.rows.schema.field("o").type == pa.float32()


def test_several_texts_for_a_row_come_out_as_lists(tmp_path):
    model = write_model(
        tmp_path / "texts.onnx",
        {"a": ("string", ("n", 1)), "b": ("string", ("n", 1))},
        [("Concat", ["a", "b"], ["pair"], {"axis": 1})],
        {"pair": ("string", ("n", 2))},
    )
    rows = pa.record_batch({"x": ["a", None, "ü"], "y": ["1", "2", ""]})
    outcome = run(spec_of(model, {"x": "a", "y": "b"}, {"pair": "p"}), rows)
    assert outcome.rows["p"].type == pa.list_(pa.string())
    assert outcome.rows["p"].to_pylist() == [["a", "1"], None, ["ü", ""]]


def test_tensors_of_numbers_go_in_as_they_are(tmp_path):
    numbers = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    rows = pa.record_batch({"t": pa.FixedShapeTensorArray.from_numpy_ndarray(numbers)})
    outcome = run(spec_of(identity(tmp_path, shape=("n", 3, 4)), {"t": "x"}, {"y": "y"}), rows)
    np.testing.assert_array_equal(outcome.rows["y"].to_numpy_ndarray(), numbers)


def test_nulls_in_any_input_give_nulls_without_a_fault(tmp_path):
    kind = pa.list_(pa.float64(), 2)
    rows = pa.record_batch({"v": pa.array([[1.0, 2.0], None, [3.0, None], [5.0, 6.0], None], kind)})
    outcome = run(spec_of(identity(tmp_path), {"v": "x"}, {"y": "y"}), rows)
    assert outcome.rows["y"].to_pylist() == [[1, 2], None, None, [5, 6], None]
    assert outcome.faults == ()


def test_rows_that_are_all_null_never_reach_the_model(tmp_path):
    rows = pa.record_batch({"v": pa.array([None, None], pa.list_(pa.float32(), 2))})
    outcome = run(spec_of(identity(tmp_path), {"v": "x"}, {"y": "y"}), rows)
    assert outcome.rows["y"].to_pylist() == [None, None]


def test_a_model_of_a_fixed_batch_size_gets_just_that_many_rows(tmp_path):
    model = identity(tmp_path, shape=(4, 2))
    numbers = np.arange(20.0).reshape(10, 2)
    outcome = run(spec_of(model, {"v": "x"}, {"y": "y"}), pa.record_batch({"v": vectors(numbers)}))
    np.testing.assert_array_equal(values_of(outcome), numbers)


def test_only_rows_that_the_model_refuses_are_faults(tmp_path):
    model = write_model(
        tmp_path / "picky.onnx",
        {"x": ("float", ("n", 2)), "i": ("int64", ("n", 1))},
        [("GatherElements", ["x", "i"], ["y"], {"axis": 1})],
        {"y": ("float", ("n", 1))},
    )
    rows = pa.record_batch(
        {"v": vectors(np.arange(12.0).reshape(6, 2)), "i": pa.array([0, 1, 7, 1, 9, 0])}
    )
    outcome = run(spec_of(model, {"v": "x", "i": "i"}, {"y": "y"}), rows)
    assert outcome.rows["y"].to_pylist() == [0, 3, None, 7, None, 10]
    assert [(fault.row, fault.reason) for fault in outcome.faults] == [
        (2, "ModelError"),
        (4, "ModelError"),
    ]
    assert "\n" not in outcome.faults[0].message


# -- what does not fit


def test_another_hash_is_told_with_both(tmp_path):
    model = identity(tmp_path)
    wrong = "0" * 64
    right = hashlib.sha256(model.read_bytes()).hexdigest()
    spec = spec_of({"uri": str(model), "sha256": wrong}, {"v": "x"}, {"y": "y"})
    (mistake,) = mistakes_of(spec, pa.schema([]))
    assert mistake == (
        f"spec.stages[4].infer.model.sha256  {model} has SHA-256 {right}, expected {wrong}"
    )


def test_a_model_that_is_missing_or_no_model_is_told(tmp_path):
    (tmp_path / "text.onnx").write_text("hello")
    for name, said in (("gone.onnx", "there is no file"), ("text.onnx", "is no model that")):
        spec = spec_of(tmp_path / name, {"v": "x"}, {"y": "y"})
        (mistake,) = mistakes_of(spec, pa.schema([]))
        assert mistake.startswith("spec.stages[4].infer.model.uri  ")
        assert said in mistake


def test_a_relative_path_starts_at_the_manifest(tmp_path):
    identity(tmp_path)
    spec = spec_of("identity.onnx", {"v": "x"}, {"y": "y"})
    schema = pa.schema([("v", pa.list_(pa.float32(), 2))])
    assert bound_of(spec, schema, tmp_path).schema.field("y").type == schema.field("v").type


def test_a_model_that_changed_since_the_plan_is_refused(tmp_path):
    model = identity(tmp_path)
    spec = spec_of(model, {"v": "x"}, {"y": "y"})
    bound = bound_of(spec, pa.schema([("v", pa.list_(pa.float32(), 2))]))
    shutil.copy(identity(tmp_path, shape=("n", 2, 1), name="other.onnx"), model)
    with pytest.raises(RunError, match="but the run was planned with"):
        bound.open(WorkerContext())


@pytest.mark.parametrize(
    ("kind", "shape", "options", "said"),
    [
        (pa.binary(), ("n", 3, 8, 8), {}, "add decode and resize stages before"),
        (IMAGE, ("n", 3, 8, 8), {}, "holds pictures of any size"),
        (tensor(9, 8, 3), ("n", 3, 8, 8), {}, "is pictures of [3, 9, 8] (channels first)"),
        (tensor(8, 8, 3), ("n", 3, 8, 8), {"layout": "NHWC"}, "[8, 8, 3] (channels last)"),
        (tensor(8, 8, 3), ("n", 3), {}, "is pictures of 8x8x3, which does not fit"),
        (tensor(8, 8, 1), ("n", 1, 8, 8), {"normalize": "clip"}, "which needs 3 channels"),
        (pa.list_(pa.float32(), 3), ("n", 2), {}, "which does not fit the input x: tensor(float)"),
        (pa.list_(pa.float32()), ("n", 2), {}, "which does not fit the input"),
        (pa.string(), ("n", 2), {}, "column 'c' is string, which does not fit"),
        (pa.float32(), ("n", 2), {}, "which does not fit the input"),
    ],
)
def test_a_column_that_does_not_fit_is_told_with_what_would(tmp_path, kind, shape, options, said):
    model = identity(tmp_path, shape=shape)
    spec = spec_of(model, {"c": "x"}, {"y": "y"}, **options)
    (mistake,) = mistakes_of(spec, pa.schema([("c", kind)]))
    assert mistake.startswith("spec.stages[4].infer.inputs.c  ")
    assert said in mistake


def test_numbers_are_not_cut_to_integers_and_uint8_is_not_normalised(tmp_path):
    model = identity(tmp_path, "int64", ("n",))
    spec = spec_of(model, {"c": "x"}, {"y": "y"})
    (mistake,) = mistakes_of(spec, pa.schema([("c", pa.float32())]))
    assert "column 'c' is float, which does not fit the input x: tensor(int64)[n]" in mistake
    model = identity(tmp_path, "uint8", ("n", 3, 8, 8))
    spec = spec_of(model, {"c": "x"}, {"y": "y"}, normalize="unit")
    (mistake,) = mistakes_of(spec, pa.schema([("c", tensor(8, 8, 3))]))
    assert "normalize is unit, but the model's input is x: tensor(uint8)" in mistake


def test_names_that_the_model_does_not_have_are_told_all_at_once(tmp_path):
    model = write_model(
        tmp_path / "two.onnx",
        {"first": ("float", ("n",)), "second": ("float", ("n",))},
        [("Add", ["first", "second"], ["sum"])],
        {"sum": ("float", ("n",))},
    )
    spec = spec_of(model, {"a": "frist", "c": "first"}, {"sums": "s", "sum": "s"})
    assert mistakes_of(spec, pa.schema([("a", pa.float32())])) == [
        "spec.stages[4].infer.inputs.a  the model has no input 'frist'; did you mean first? "
        "it has: first: tensor(float)[n], second: tensor(float)[n]",
        "spec.stages[4].infer.inputs.c  column 'c' is made by no earlier stage; there are: a",
        "spec.stages[4].infer.inputs  nothing feeds the model's input second: tensor(float)[n]",
        "spec.stages[4].infer.outputs  two outputs become the column 's'",
        "spec.stages[4].infer.outputs.sums  the model has no output 'sums'; did you mean sum? "
        "it has: sum: tensor(float)[n]",
    ]


def test_an_output_without_an_axis_for_the_rows_is_refused(tmp_path):
    model = write_model(
        tmp_path / "mean.onnx",
        {"x": ("float", ("n", 2))},
        [("Size", ["x"], ["y"])],
        {"y": ("int64", ())},
    )
    spec = spec_of(model, {"c": "x"}, {"y": "y"})
    (mistake,) = mistakes_of(spec, pa.schema([("c", pa.list_(pa.float32(), 2))]))
    assert mistake.startswith("spec.stages[4].infer.outputs.y  ")
    assert "has no axis for the rows" in mistake


def test_a_column_or_model_that_is_already_known_to_be_wrong_is_accepted(tmp_path):
    spec = spec_of(identity(tmp_path), {"c": "x"}, {"y": "y"})
    schema = pa.schema([("c", UNKNOWN)])
    assert bound_of(spec, schema).schema.field("y").type == UNKNOWN
    assert infer.bind(spec, schema, PLACE, None).schema.field("y").type == UNKNOWN
