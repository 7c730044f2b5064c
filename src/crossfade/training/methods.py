"""The six training methods: what of a base each lets learn, and how what it learned is written.

A method wraps a loaded base so that only its own parameters want a gradient; the trainer knows no more of it. LoRA,
QLoRA, AdaLoRA and P-Tuning are PEFT's, Freeze and full are the base's own parameters.
"""

from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from crossfade.adapters.peft_config import MAX_RANK
from crossfade.errors import TrainingError
from crossfade.models.torch_libraries import device_name, has_fast_bfloat16, how_to_install
from crossfade.training.base_model import linear, linear_layers, load_whole
from crossfade.training.record import (
    AdaLoraSettings,
    FreezeSettings,
    LoraSettings,
    PTuningSettings,
    RunSettings,
)
from crossfade.training.save import save_adapter, save_base, save_difference

if TYPE_CHECKING:
    from torch import Tensor

State = dict[str, "Tensor"]

LAST_BLOCKS = 4
"""So many are what Freeze trains where none are named."""
SERVED = {
    "lora": "on every engine",
    "qlora": "on every engine, on the base in 4 bits or whole; on a CPU it saves memory, not time",
    "adalora": "on every engine, folded into LoRA",
    "p-tuning": "on the transformers engine alone, without a blend; choose LoRA for llama.cpp",
    "freeze": "on every engine, its difference to the base written as LoRA of full rank",
    "full": "as a base of its own on the transformers engine: start Crossfade with --base and its folder; no adapter "
    "of the old base fits it; choose LoRA for llama.cpp",
}
"""Where what a method makes can be chatted with."""


class Method(Protocol):
    """One way to train. `before_step` is told how many parts the next step's loss has; `after_step` follows it."""

    def load(self, base_folder: Path) -> Any:
        """The base as this method trains it."""

    def prepare(self, model: Any, *, steps: int) -> Any:
        """The model with those parameters wanting a gradient that a run of `steps` trains."""

    def before_step(self, model: Any, parts: int) -> None:
        """Called before a step's first part."""

    def after_step(self, model: Any, step: int) -> None:
        """Called after step `step`, from 1, before its gradients are gone."""

    def state(self, model: Any) -> State:
        """What a run that goes on needs beside the parameters."""

    def restore(self, model: Any, state: State) -> None:
        """Put back what `state` gave."""

    def save(self, model: Any, out: Path, *, base: str, base_folder: Path) -> None:
        """Write what was learned into the new folder `out`."""


class Lora:
    """LoRA: a low-rank update of each linear layer. Also what the methods here that need no hooks stand on."""

    def __init__(self, settings: RunSettings) -> None:
        self._settings = settings

    def load(self, base_folder: Path) -> Any:
        return load_whole(base_folder)

    def prepare(self, model: Any, *, steps: int) -> Any:
        assert isinstance(self._settings, LoraSettings)
        return wrap_with_lora(model, self._settings)

    def before_step(self, model: Any, parts: int) -> None:
        pass

    def after_step(self, model: Any, step: int) -> None:
        pass

    def state(self, model: Any) -> State:
        return {}

    def restore(self, model: Any, state: State) -> None:
        pass

    def save(self, model: Any, out: Path, *, base: str, base_folder: Path) -> None:
        save_adapter(model, out, base=base)


class Qlora(Lora):
    """LoRA on a base in 4 bits. On a CPU that saves memory and not time."""

    def load(self, base_folder: Path) -> Any:
        import torch
        from transformers import BitsAndBytesConfig

        if importlib.util.find_spec("bitsandbytes") is None:
            raise TrainingError(f"QLoRA needs bitsandbytes: {how_to_install('transformers')}")
        device = device_name()
        products = torch.bfloat16 if has_fast_bfloat16(device) else torch.float32
        four_bits = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=products)
        model = load_whole(base_folder, quantization_config=four_bits, device_map={"": device})
        for layer in model.modules():
            if hasattr(layer, "support_avx512bf16_for_cpu"):
                # bitsandbytes packs the layers of a model that is measured, and what is packed passes no gradient on.
                layer.support_avx512bf16_for_cpu = False
        return model

    def prepare(self, model: Any, *, steps: int) -> Any:
        model.requires_grad_(False)
        return super().prepare(model, steps=steps)


class AdaLora(Lora):
    """LoRA whose ranks are taken from where they matter least, until the mean rank that was asked for is left."""

    def prepare(self, model: Any, *, steps: int) -> Any:
        from peft import AdaLoraConfig, TaskType

        settings = self._settings
        assert isinstance(settings, AdaLoraSettings)
        first, last = steps // 10, max(1, steps // 4)  # ranks fall between a warm-up and a last part to settle in
        if steps - last < max(2, first + 1):
            raise TrainingError(
                f"AdaLoRA takes ranks away step by step and this run has {steps}; it needs at least 3. Give more rows "
                "or epochs, or choose LoRA."
            )
        config = AdaLoraConfig(
            task_type=TaskType.CAUSAL_LM,
            init_r=settings.first_rank,
            target_r=settings.rank,
            lora_alpha=settings.alpha,
            lora_dropout=settings.dropout,
            target_modules=_targets(model, settings),
            total_step=steps,
            tinit=first,
            tfinal=last,
            deltaT=max(1, steps // 50),
            orth_reg_weight=settings.orthogonality,
        )
        return _wrap(model, config, "AdaLoRA")

    def before_step(self, model: Any, parts: int) -> None:
        # PEFT adds the penalty to the loss of each part; it is meant once a step.
        assert isinstance(self._settings, AdaLoraSettings)
        _ada_config(model).orth_reg_weight = self._settings.orthogonality / parts

    def after_step(self, model: Any, step: int) -> None:
        model.base_model.update_and_allocate(step)

    def state(self, model: Any) -> State:
        import torch

        allocator = model.base_model.rankallocator
        kept = {
            f"{of}/{name}": value
            for of in ("ipt", "exp_avg_ipt", "exp_avg_unc")
            for name, value in getattr(allocator, of).items()
        }
        pattern = _ada_config(model).rank_pattern or {}
        return kept | {f"pattern/{name}": torch.tensor(ranks) for name, ranks in pattern.items()}

    def restore(self, model: Any, state: State) -> None:
        allocator, pattern = model.base_model.rankallocator, {}
        for key, value in state.items():
            of, name = key.split("/", 1)
            if of == "pattern":
                pattern[name] = [bool(kept) for kept in value]
            else:
                getattr(allocator, of)[name] = value.to(model.device)
        _ada_config(model).rank_pattern = pattern or None


class PTuning(Lora):
    """Virtual tokens before the prompt; nothing of the base changes."""

    def prepare(self, model: Any, *, steps: int) -> Any:
        from peft import PromptEncoderConfig, TaskType

        settings = self._settings
        assert isinstance(settings, PTuningSettings)
        config = PromptEncoderConfig(
            task_type=TaskType.CAUSAL_LM,
            num_virtual_tokens=settings.virtual_tokens,
            encoder_hidden_size=settings.encoder_width,
        )
        return _wrap(model, config, "P-Tuning")


class Freeze(Lora):
    """The linear layers of some blocks, trained whole. The difference to the base is written as LoRA of full rank."""

    def prepare(self, model: Any, *, steps: int) -> Any:
        settings = self._settings
        assert isinstance(settings, FreezeSettings)
        blocks = getattr(getattr(model, "model", None), "layers", None)
        if blocks is None:
            raise TrainingError("Freeze does not know the blocks of this base. Choose LoRA or full.")
        wrong = [n for n in settings.layers if not -len(blocks) <= n < len(blocks)]
        if wrong:
            raise TrainingError(
                f"The base has no block {wrong[0]}: it has {len(blocks)}, 0 to {len(blocks) - 1}, or -1 from the last."
            )
        chosen = {n % len(blocks) for n in settings.layers} or set(range(len(blocks))[-LAST_BLOCKS:])
        model.requires_grad_(False)
        for name, layer in linear(model):
            if any(name.startswith(f"model.layers.{n}.") for n in chosen):
                if min(layer.weight.shape) > MAX_RANK:
                    raise TrainingError(
                        f"Freeze writes its difference as LoRA of full rank, at most {MAX_RANK}, and {name} has rank "
                        f"{min(layer.weight.shape)}. Choose LoRA or full for this base."
                    )
                layer.weight.requires_grad_(True)
        return model

    def save(self, model: Any, out: Path, *, base: str, base_folder: Path) -> None:
        trained = {n: layer.weight for n, layer in linear(model) if layer.weight.requires_grad}
        before = dict(load_whole(base_folder).named_parameters())
        save_difference({n: (before[f"{n}.weight"], after) for n, after in trained.items()}, out, base=base)


class Full(Lora):
    """Every parameter. What is written is a base of its own."""

    def prepare(self, model: Any, *, steps: int) -> Any:
        model.requires_grad_(True)
        return model

    def save(self, model: Any, out: Path, *, base: str, base_folder: Path) -> None:
        save_base(model, out, base_folder=base_folder)


METHODS = {"lora": Lora, "qlora": Qlora, "adalora": AdaLora, "p-tuning": PTuning, "freeze": Freeze, "full": Full}
"""The methods by the names of their settings."""


def method_of(settings: RunSettings) -> Method:
    """The method that settings are for."""
    return METHODS[settings.method](settings)


def wrap_with_lora(model: Any, settings: LoraSettings) -> Any:
    """The base with fresh LoRA layers, whose update is zero at first; only they want a gradient.

    Raises TrainingError when a target layer does not exist.
    """
    from peft import LoraConfig, TaskType

    config = LoraConfig(
        task_type=TaskType.CAUSAL_LM,
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=_targets(model, settings),
    )
    return _wrap(model, config, f"LoRA with target {settings.target!r}")


def _targets(model: Any, settings: LoraSettings) -> list[str]:
    return linear_layers(model) if settings.target == "all-linear" else list(settings.target)


def _wrap(model: Any, config: Any, what: str) -> Any:
    from peft import get_peft_model

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of a name in transformers that PEFT still uses
            return get_peft_model(model, config)
    except ValueError as error:
        raise TrainingError(f"{what} does not fit this base: {error}") from error


def _ada_config(model: Any) -> Any:
    return model.peft_config[model.base_model.trainable_adapter_name]
