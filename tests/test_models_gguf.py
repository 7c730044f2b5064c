"""Reading, naming and re-quantising GGUF files, on a tiny random Llama that llama.cpp really runs."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

import gguf
import numpy
import pytest

from crossfade.errors import ModelError
from crossfade.models.gguf_file import SOURCE_KEY, base_identity, describe
from crossfade.models.gguf_header import read_metadata
from crossfade.models.quantise import Kind, requantise
from damage import DAMAGES, Damage

LAYERS, WIDTH, FEED_FORWARD, HEADS, KV_HEADS, CONTEXT = 2, 64, 128, 4, 2, 128
TEMPLATE = (
    "{% for m in messages %}{{'<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{'<|im_start|>assistant\n'}}{% endif %}"
)


def bytes_to_unicode() -> list[str]:
    """The 256 characters that stand for bytes in GPT-2's vocabulary, in the order of the bytes."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    stand_ins = iter(range(256, 512))
    return [chr(byte) if byte in plain else chr(next(stand_ins)) for byte in range(256)]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tiny") / "tiny.gguf"
    tokens = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *bytes_to_unicode(), "he"]
    writer = gguf.GGUFWriter(path, arch="llama")
    writer.add_name("Tiny")
    writer.add_block_count(LAYERS)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([3, 3, 3] + [1] * 257)
    writer.add_token_merges(["h e"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_chat_template(TEMPLATE)
    writer.add_array("test.floats", [0.5, 0.25])
    writer.add_bool("test.flag", True)
    random = numpy.random.default_rng(0)
    kv_width = WIDTH // HEADS * KV_HEADS
    shapes = {"token_embd": (len(tokens), WIDTH), "output_norm": (WIDTH,)}
    for layer in range(LAYERS):
        shapes |= {
            f"blk.{layer}.{name}": shape
            for name, shape in {
                "attn_norm": (WIDTH,),
                "ffn_norm": (WIDTH,),
                "attn_q": (WIDTH, WIDTH),
                "attn_k": (kv_width, WIDTH),
                "attn_v": (kv_width, WIDTH),
                "attn_output": (WIDTH, WIDTH),
                "ffn_gate": (FEED_FORWARD, WIDTH),
                "ffn_up": (FEED_FORWARD, WIDTH),
                "ffn_down": (WIDTH, FEED_FORWARD),
            }.items()
        }
    for name, shape in shapes.items():
        values = numpy.ones(shape) if len(shape) == 1 else random.normal(0, 0.1, shape)
        writer.add_tensor(f"{name}.weight", values.astype(numpy.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_describe_tells_the_shape_the_template_and_the_control_tokens(tiny: Path) -> None:
    found = describe(tiny)
    assert (found.layers, found.width, found.feed_forward) == (LAYERS, WIDTH, FEED_FORWARD)
    assert (found.heads, found.kv_heads, found.head_width) == (HEADS, KV_HEADS, WIDTH // HEADS)
    assert (found.architecture, found.context, found.vocabulary) == ("llama", CONTEXT, 260)
    assert found.chat_template == TEMPLATE
    assert found.control_tokens == ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
    assert found.end_token == "<|im_end|>"


def test_our_reader_and_the_gguf_package_read_the_same_keys(tiny: Path) -> None:
    reader = gguf.GGUFReader(tiny)
    theirs = {key: field.contents() for key, field in reader.fields.items() if not key.startswith("GGUF.")}
    assert read_metadata(tiny) == theirs


def test_a_kept_description_equals_a_fresh_one_and_ends_with_the_file(tiny: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.gguf"
    shutil.copy(tiny, copy)
    home = tmp_path / "home"
    assert describe(copy, home) == describe(copy, home) == describe(copy)
    assert base_identity(copy, home) == hashlib.sha256(copy.read_bytes()).hexdigest()
    copy.write_bytes(copy.read_bytes() + bytes(32))
    assert base_identity(copy, home) == hashlib.sha256(copy.read_bytes()).hexdigest()
    os.truncate(copy, 100)
    with pytest.raises(ModelError):
        describe(copy, home)


def test_a_broken_cache_is_computed_anew(tiny: Path, tmp_path: Path) -> None:
    expected = describe(tiny, tmp_path)
    for kept in (tmp_path / "models" / "described").iterdir():
        kept.write_text("{")
    assert describe(tiny, tmp_path) == expected


def test_a_header_cut_anywhere_is_a_model_error(tiny: Path, tmp_path: Path) -> None:
    whole = tiny.read_bytes()
    broken = tmp_path / "broken.gguf"
    for length in [0, 1, 4, 20, 24, *range(25, whole.index(b"test.flag"), 97)]:
        broken.write_bytes(whole[:length])
        with pytest.raises(ModelError):
            describe(broken)


def test_absurd_lengths_in_a_header_are_a_model_error(tiny: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    for offset in (8, 16, 24, 32):
        data = bytearray(tiny.read_bytes())
        data[offset : offset + 8] = (2**63).to_bytes(8, "little")
        broken.write_bytes(data)
        if offset != 8:  # the number of tensors, which is of no matter to a description
            with pytest.raises(ModelError):
                describe(broken)


@pytest.mark.parametrize("kind", ["Q8_0", "Q4_0"])
def test_a_requantised_file_keeps_identity_keys_and_nearly_the_weights(tiny: Path, tmp_path: Path, kind: Kind) -> None:
    made = requantise(tiny, tmp_path, kind)
    assert base_identity(made) == base_identity(tiny) == describe(made).source
    before, after = read_metadata(tiny), read_metadata(made)
    changed = {key for key in before | after if before.get(key) != after.get(key)}
    assert changed == {"general.file_type", SOURCE_KEY}
    tolerance = {"Q8_0": 0.01, "Q4_0": 0.12}[kind]
    weights = {tensor.name: tensor for tensor in gguf.GGUFReader(tiny).tensors}
    for tensor in gguf.GGUFReader(made).tensors:
        original = weights.pop(tensor.name).data
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        assert numpy.linalg.norm(values - original) <= tolerance * numpy.linalg.norm(original)
        assert original.ndim > 1 or numpy.array_equal(values, original)
    assert weights == {}
    assert made.stat().st_size < tiny.stat().st_size / 2


def test_requantising_is_done_once_and_not_at_all_where_it_is_done_already(tiny: Path, tmp_path: Path) -> None:
    made = requantise(tiny, tmp_path, "Q8_0")
    written = made.stat().st_mtime_ns
    assert requantise(tiny, tmp_path, "Q8_0") == made
    assert made.stat().st_mtime_ns == written
    assert requantise(made, tmp_path, "Q8_0") == made


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_requantised_file_that_was_cut_or_altered_is_made_again(tiny: Path, tmp_path: Path, damage: Damage) -> None:
    made = requantise(tiny, tmp_path, "Q8_0")
    whole = made.read_bytes()
    damage(made)
    assert made.read_bytes() != whole
    assert requantise(tiny, tmp_path, "Q8_0") == made
    assert made.read_bytes() == whole


def test_an_unknown_kind_lists_the_known_ones(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="Q8_0, Q4_0"):
        requantise(tiny, tmp_path, "Q3_K")  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["Q8_0", "Q4_0"])
def test_llama_cpp_runs_a_requantised_file(tiny: Path, tmp_path: Path, kind: Kind) -> None:
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(requantise(tiny, tmp_path, kind))
    parameters.n_ctx, parameters.n_parallel, parameters.verbosity = CONTEXT, 1, 0
    server = xllamacpp.Server(parameters)
    request = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 4, "temperature": 0}
    reply = server.handle_chat_completions(request)
    reply = json.loads(reply) if isinstance(reply, str) else reply
    assert reply["usage"]["completion_tokens"] >= 1
