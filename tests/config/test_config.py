"""Wrong settings, and files that are none: each refused before the first job in one sentence."""

import codecs
import copy
import json
import shutil
from pathlib import Path

import jsonschema
import pytest
import yaml

from tsgbench.cli.main import main
from tsgbench.config import Catalogue, merge, read_yaml, reading, remembered
from tsgbench.config.reference import documents, known_models
from tsgbench.config.signatures import helps, of_registered
from tsgbench.errors import UserError
from tsgbench.jobs.code import closure
from tsgbench.phases import __file__ as phases
from tsgbench.planning.study import Study
from tsgbench.settings import misfit_of_inputs

ROOT = Path(__file__).resolve().parents[2]
STUDY, SEQPAN, DATASETS = "study.yaml", "config/models/seqpan.yaml", "config/datasets.yaml"


@pytest.fixture(autouse=True)
def apart(monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def refused(work) -> str:
    with pytest.raises(UserError) as caught:
        work()
    said = str(caught.value)
    assert "\n" not in said
    return said


def nested(path: str, value) -> dict:
    for name in reversed(path.split("/")):
        value = {name: value}
    return value


def seqpan(path: str, value) -> dict:
    return nested(f"overrides/seqpan/{path}", value)


# Every wrong setting of a study: the change, and what the sentence must say
IN_A_STUDY = [
    (seqpan("train/optimizer", "sgd"), "overrides.seqpan.train.optimizer: 'sgd'", "bert_adam"),
    (seqpan("train/optimizer", "adamm"), "'adamm' is not", "did you mean 'adam"),
    (seqpan("train/select", "nonsense"), "train.select: 'nonsense'", "R@1,IoU=0.7, mIoU or last"),
    (seqpan("train/select", "R@5,IoU=0.5"), "train.select: 'R@5,IoU=0.5'", "mean 'R@1,IoU=0.5'?"),
    (seqpan("train/batch_size", -1), "train.batch_size: -1", "a whole number, at least 1"),
    (seqpan("train/epochs", "many"), "train.epochs: 'many'", "a whole number, at least 0"),
    (seqpan("train/epochs", 2.5), "train.epochs: 2.5", "a whole number"),
    (seqpan("train/lr", "fast"), "train.lr: 'fast'", "a number, more than 0"),
    (seqpan("train/lr", "1e-4"), "train.lr: '1e-4'", "write 1.0e-04"),
    (seqpan("train/lr", "0.01"), "train.lr: '0.01'", "quotes make it text, so write 0.01"),
    (seqpan("train/epochs", "1e1"), "train.epochs: '1e1'", "takes 1e1 for text, so write 10"),
    (seqpan("train/epochs", "10.0"), "train.epochs: '10.0'", "quotes make it text, so write 10"),
    (seqpan("train/lr", float("nan")), "train.lr: nan", "a number, more than 0"),
    (seqpan("train/lr", float("inf")), "train.lr: inf", "a number, more than 0"),
    (seqpan("train/lr", True), "train.lr: true", "a number"),
    (seqpan("train/epochs", True), "train.epochs: true", "a whole number"),
    (seqpan("train/precision", "auto"), "train.precision: 'auto'", "fp32 or bf16"),
    (seqpan("train/resident", "bf16"), "train.resident: 'bf16'", "fp32 or fp16"),
    (seqpan("train", [1]), "overrides.seqpan.train: [1]", "a mapping"),
    (seqpan("train/optimiser", "adam"), "seqpan.train: unknown key 'optimiser'", "'optimizer'?"),
    (seqpan("model/match", "fulll"), "model.match: 'fulll'", "did you mean 'full'?"),
    (seqpan("model/width", -3), "model.width: -3", "a whole number, at least 1"),
    (seqpan("model/width", 65), "seqpan/shapes", "width: 65 must be a multiple of heads, 4"),
    (seqpan("model/char", 1), "model.char: 1", "true or false"),
    (seqpan("model/dropout", 1.0), "model.dropout: 1.0", "less than 1"),
    (seqpan("model/widht", 3), "seqpan.model: unknown key 'widht'", "did you mean 'width'?"),
    (seqpan("model/max_clips", 8), "model.max_clips: 8 is less than inputs.max_clips", "the same"),
    (seqpan("inputs/resample", "round_meen"), "inputs.resample: 'round_meen'", "'round_mean'?"),
    (seqpan("inputs/tokenizer", "nltk_pnct"), "inputs.tokenizer: 'nltk_pnct'", "'nltk_punct'?"),
    (seqpan("inputs/offset", "random"), "seqpan/shapes", "needs resample stride_pick"),
    (seqpan("inputs/resample", "chunks"), "seqpan/shapes", "needs the seconds of a chunk"),
    (seqpan("datasets/shapes/train/lr", 0), "datasets.shapes.train.lr: 0", "more than 0"),
    (seqpan("presett", "paper"), "overrides.seqpan: unknown key 'presett'", "'preset'?"),
    (nested("overrides/fian/model/windows", []), "model.windows: []", "at least 1 entries"),
    (nested("overrides/fian/model/windows", [4, 0]), "model.windows[1]: 0", "at least 1"),
    (nested("overrides/fian/model/windows", [40]), "windows: [40] must be sizes", "max_clips, 32"),
    (nested("overrides/fian/model/width", 63), "model.width: 63", "a multiple of 2"),
    (nested("overrides/seqpann", {}), "overrides: unknown key 'seqpann'", "'seqpan'?"),
    (nested("overrides", ["seqpan"]), "overrides: ['seqpan']", "a mapping"),
    (nested("resources/trian", {}), "resources: 'trian'", "did you mean 'train'?"),
    (nested("resources/train/gpu", "one"), "resources.train.gpu: 'one'", "at least 0"),
    (nested("datasets/shapes/learn_vectors/dim", "50"), "learn_vectors.dim: '50'", "whole number"),
    (nested("tables/table1/by_part", "no"), "table1.by_part: 'no'", "true or false"),
    (nested("tables/table1/ablations", ["blnd"]), "tables.table1.ablations", "mean 'blind'?"),
    (nested("systems", [{"model": "seqpan", "seeds": [0], "ablations": "printd"}]), "ablations",
     "did you mean 'printed'?"),
    (nested("systems", [{"model": "seqpan", "seeds": [0, 0]}]), "systems[0].seeds", "twice"),
    (nested("systems", [{"model": "seqpan", "seeds": ["0"]}]), "seeds[0]: '0'", "so write 0"),
    (nested("systems", [{"model": "seqpan", "seeds": [2**63]}]), "seeds[0]", "at most 92233"),
    (nested("systems", None), "systems: null", "a list"),
    (nested("demo", "yes"), "demo: 'yes'", "true or false"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "place", "remedy"), IN_A_STUDY)
def test_a_wrong_study_is_refused(change, place, remedy):
    config = merge(read_yaml("config/demo.yaml"), change)
    said = refused(lambda: Study(config, source=STUDY))
    assert said.startswith(f"{STUDY}: ") and place in said and remedy in said


# The same in the catalogue: file, change, what the sentence must say
IN_THE_CATALOGUE = [
    (SEQPAN, nested("settings/train/optimizer", "sgd"), "settings.train.optimizer", "adam"),
    (SEQPAN, nested("settings/inputs/tokenizer", "nltk_pnct"), "inputs.tokenizer", "nltk_punct'?"),
    (SEQPAN, nested("presets/paper/model/guide", "inputt"), "presets.paper.model.guide", "'input'"),
    (SEQPAN, nested("presets/paper/train/lr", "fast"), "presets.paper.train.lr", "a number"),
    (SEQPAN, nested("datasets/tacos/model/width", -3), "datasets.tacos.model.width: -3", "least 1"),
    (SEQPAN, nested("datasets/taco", {}), "datasets: 'taco'", "did you mean 'tacos'?"),
    (SEQPAN, nested("ablations/vanilla/model/matchh", "full"), "unknown key 'matchh'", "'match'?"),
    (SEQPAN, nested("ablations/vanilla/model/match", "fulll"), "vanilla.model.match", "'full'?"),
    (SEQPAN, nested("ablations/vanilla/models", {}), "ablations.vanilla: unknown", "'model'?"),
    (SEQPAN, nested("ablations/vanilla/model/heads", 5), "ablations.vanilla on", "multiple of"),
    (SEQPAN, nested("ablations/vanilla/inputs/max_clips", 999), "vanilla on", "give inputs and"),
    (SEQPAN, nested("settings/inputs/features", "i3d"), "inputs.features", "feature recipe"),
    (SEQPAN, nested("paper", "seqpann"), "paper: 'seqpann'", "did you mean 'seqpan'?"),
    (SEQPAN, nested("module", "sqpan"), "sqpan.py: no such module", "did you mean 'seqpan'?"),
    ("config/models/cma.yaml", nested("ablations/guides_multiple/model/structure", "decoder"),
     "ablations.guides_multiple on", "use guides 'single'"),
    ("config/models/fsan.yaml", nested("ablations/no_grounding/model/icim_cross", False),
     "ablations.no_grounding on", "switch it on"),
    ("config/models/ia_net.yaml", nested("settings/inputs/resample", "round_mean"),
     "inputs.resample_when", "set it to always or longer"),
    (DATASETS, nested("shapes/settings/polcy", "clip"), "shapes.settings", "mean 'policy'?"),
    (DATASETS, nested("charades_sta/settings/val_share", "tenth"), "val_share", "a number"),
    (DATASETS, nested("shapes/render/size", 30), "shapes.render.size: 30", "at least 32"),
    (DATASETS, nested("shapes/reader", "mad"), "mad.py: no such module", "mean 'made'?"),
    (DATASETS, nested("tacos/videos", "taco_videos"), "tacos.videos", "mean 'tacos_videos'?"),
    (DATASETS, nested("tacos/conventions", ["official_tann"]), "conventions", "'official_tan'?"),
    (DATASETS, nested("tacos/protocols/printed", {"about": "x", "train": "train", "select": "val",
     "test": "test"}), "tacos.protocols", "another name"),
    ("config/features.yaml", nested("clips/i3d_random_stats_w16s8/network/widht", 1), "network",
     "mean 'width'?"),
    ("config/features.yaml", nested("clips/i3d_random_stats_w16s8/frames/short_side", 9), "frames",
     "not both"),
    ("config/features.yaml", nested("features/blank_5s/timeline/fps", 0), "timeline.fps: 0",
     "more than 0"),
    ("config/features.yaml",
     nested("features/didemo_vgg16_fc7_5s_released/released/times", {"chunk": 5}), "'chunk'",
     "mean 'chunk_s'?"),
    ("config/features.yaml", nested("features/i3d_kinetics_rgb_w16s8/reduce/center", "vido"),
     "reduce.center: 'vido'", "did you mean 'video'?"),
    ("config/sources.yaml", nested("didemo_val/bytes", "12 kB"), "didemo_val.bytes", "whole"),
    ("config/conventions.yaml", nested("seconds/compare", "=="), "seconds.compare: '=='", ">="),
    ("config/conventions.yaml", nested("seconds/datasets/taco", {}), "seconds.datasets", "tacos'?"),
]  # fmt: skip


def copied(folder: Path) -> Path:
    """A project with its own copy of the catalogue."""
    for name in ("config", "published"):
        shutil.copytree(ROOT / name, folder / name)
    return folder


@pytest.mark.parametrize(("file", "change", "place", "remedy"), IN_THE_CATALOGUE)
def test_a_wrong_catalogue_is_refused(tmp_path, file, change, place, remedy):
    root = copied(tmp_path / "project")
    content = merge(read_yaml(root / file), change)
    (root / file).write_text(yaml.safe_dump(content))
    said = refused(lambda: Catalogue.load(root))
    assert file.rpartition("/")[2].split(".")[0] in said and place in said and remedy in said


def test_every_model_of_the_catalogue_has_the_ablation_that_changes_nothing(tmp_path):
    root = copied(tmp_path / "project")
    content = read_yaml(root / SEQPAN)
    del content["ablations"]["full"]
    (root / SEQPAN).write_text(yaml.safe_dump(content))
    assert "ablations: key 'full' is missing" in refused(lambda: Catalogue.load(root))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("study: é".encode("latin-1"), "line 1: is not UTF-8 text (byte 0xe9); save it as UTF-8"),
        (codecs.BOM_UTF16_LE + "a: 1".encode("utf-16-le"), "is UTF-16 text; save it as UTF-8"),
        ("a: 1".encode("utf-16-le"), "NUL bytes, as UTF-16 text or no text; save it as UTF-8"),
        (codecs.BOM_UTF32_BE + "a: 1".encode("utf-32-be"), "is UTF-32 text"),
        (b"", "holds nothing, and should hold a mapping"),
        (b"null", "holds nothing"),
        (b"- a", "holds a list"),
        (b"a", "holds a single value"),
        (b"a: [1", "not valid YAML"),
        (b"a: 2024-13-45", "not valid YAML"),
        (b"a: &a [*a]", "line 1: *a contains itself"),
        (b"a: " + b"[" * 200_000, "line 1: nested more than 50 deep"),
        (b"a: 1\nb: {c: 1, c: 2}", "line 2: key 'c' stands twice"),
        (
            b"a0: &a0 [1, 2]\n"
            + b"".join(b"a%d: &a%d [*a%d, *a%d]\n" % (n, n, n - 1, n - 1) for n in range(1, 40)),
            "aliases stand for more than 200,000 values",
        ),
        (
            b"a0: &a0 {x: 1}\n"
            + b"".join(b"a%d: &a%d {<<: [*a%d, *a%d]}\n" % (n, n, n - 1, n - 1) for n in range(40))[
                len(b"a0: &a0 {<<: [*a-1, *a-1]}\n") :
            ],
            "aliases stand for more than 200,000 values",
        ),
    ],
)  # fmt: skip
def test_a_file_that_is_no_mapping_in_utf_8_is_one_sentence(tmp_path, content, said):
    path = tmp_path / "study.yaml"
    path.write_bytes(content)
    found = refused(lambda: read_yaml(path))
    assert found.startswith(str(path)) and said in found


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_bytes(codecs.BOM_UTF8 + "title: é".encode())
    assert read_yaml(path) == {"title": "é"}


def test_a_folder_and_nothing_are_named(tmp_path):
    assert "is a folder" in refused(lambda: read_yaml(tmp_path))
    assert "no such file" in refused(lambda: read_yaml(tmp_path / "none.yaml"))


def test_the_command_line_says_it_and_fails(tmp_path, capsys):
    path = tmp_path / "study.yaml"
    config = merge(read_yaml("config/demo.yaml"), seqpan("model/match", "fulll"))
    path.write_text(yaml.safe_dump(config))
    assert main(["plan", "--study", str(path)]) == 1
    said = capsys.readouterr().err
    assert f"{path}: overrides.seqpan.model.match: 'fulll' is not allowed; use full," in said
    assert said.count("\n") == 1 and "did you mean 'full'?" in said


# --- what is remembered --------------------------------------------------------------------------


def counted(monkeypatch) -> list:
    from tsgbench.config import checks

    calls = []
    for name in ("check_catalogue", "check_study"):
        real = getattr(checks, name)

        def spied(*arguments, name=name, real=real):
            calls.append(name)
            return real(*arguments)

        monkeypatch.setattr(checks, name, spied)
    return calls


def test_equal_files_are_checked_once_and_changed_ones_again(tmp_path, monkeypatch):
    root, calls = copied(tmp_path / "project"), counted(monkeypatch)
    load = Catalogue.load.__func__.__wrapped__  # as another process would
    load(Catalogue, root)
    load(Catalogue, root)
    assert calls == ["check_catalogue"]
    path = root / SEQPAN
    text = path.read_text()
    path.write_text(text.replace("match: full ", "match: fulll "))
    for _ in range(2):  # a failure is never remembered
        assert "'fulll'" in refused(lambda: load(Catalogue, root))
    path.write_text(text)
    load(Catalogue, root)
    assert calls == ["check_catalogue"] * 3


def test_a_study_is_checked_again_when_it_or_the_catalogue_changes(monkeypatch):
    calls, config = counted(monkeypatch), read_yaml("config/demo.yaml")
    Catalogue.load()
    del calls[:]
    for _ in range(2):
        Study(config)
    assert calls == ["check_study"]
    # 1 and true are equal in Python, and so are their digests as JSON keys
    refused(lambda: Study(merge(config, seqpan("train/patience", True))))
    entry = copy.deepcopy(Catalogue.load())
    entry.models["seqpan"]["settings"]["model"]["width"] = 66
    Study(merge(config, seqpan("train/patience", 1)), entry)
    assert calls == ["check_study"] * 3


def test_other_checking_code_remembers_nothing(monkeypatch):
    before = remembered.key_of(b"x")
    monkeypatch.setattr(remembered, "_checker", lambda: b"other")
    assert remembered.key_of(b"x") != before


def test_a_home_that_cannot_be_written_is_no_obstacle(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    remembered.remember("key")
    assert not remembered.is_remembered("key")


# --- one source ----------------------------------------------------------------------------------


def test_nothing_that_makes_a_result_reads_the_checks():
    for path in sorted(Path(phases).parent.glob("[a-z]*.py")):
        if path.stem != "download":  # whose identity is its source's content, not its code
            read = closure(f"tsgbench.phases.{path.stem}")
            assert not [module for module in read if module.startswith("tsgbench.config")], path


def test_schemas_and_reference_are_those_of_the_code():
    for name, text in documents(ROOT).items():
        assert (ROOT / name).read_text() == text, f"{name}: run `tsgbench schemas`"


def test_the_files_of_the_repository_meet_their_schemas():
    files = {name: [f"config/{name}.yaml"] for name in ("datasets", "sources", "features")}
    files |= {"conventions": ["config/conventions.yaml"]}
    files |= {"model": [f"config/models/{name}.yaml" for name in known_models(ROOT)]}
    files |= {
        "study": [f"config/{name}.yaml" for name in ("demo", "blind", "paper", "released_features")]
    }
    for name, paths in files.items():
        schema = json.loads(Path(f"config/schemas/{name}.schema.json").read_text())
        jsonschema.Draft202012Validator.check_schema(schema)
        for path in paths:
            jsonschema.validate(reading.read_yaml(path), schema)


@pytest.mark.parametrize(("name", "module"), known_models(ROOT).items())
def test_signatures_are_those_that_python_sees(name, module):
    import importlib

    from tsgbench.models import base

    importlib.import_module(f"tsgbench.models.{module}")
    model = base._REGISTRY[name]
    assert of_registered("models", module, name).defaults == (model.__init__.__kwdefaults__ or {})
    assert list(of_registered("models", module, name).conflicts) == list(model.CONFLICTS)


def test_help_is_what_the_docstring_says_of_a_name():
    text = "A thing. width, heads: of every block; see `tau: no`. tau: temperature.\n\nMore: x"
    assert helps(text, ["width", "heads", "tau"]) == {
        "width": "of every block; see `tau: no`",
        "heads": "of every block; see `tau: no`",
        "tau": "temperature. More: x",
    }


def test_sines_know_no_limit_of_length():
    inputs = {"resample": "stride_pick", "max_clips": 9, "max_words": 9}
    assert misfit_of_inputs(inputs, {"max_clips": 8, "pe": "sincos"}) is None
    assert "model.max_clips" in misfit_of_inputs(inputs, {"max_clips": 8, "pe": "learned"})
