"""Choose the next token of one row, greedy or drawn, within a JSON schema where one is enforced. Knows no model."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from crossfade.errors import EngineError
from crossfade.models.torch_libraries import how_to_install
from crossfade.types import Sampling

if TYPE_CHECKING:
    from torch import Tensor


class Schemas:
    """Compiles JSON schemas for a tokenizer by xgrammar; what was compiled is kept."""

    def __init__(self, tokenizer: Any, *, vocabulary: int, stop_tokens: frozenset[int]) -> None:
        """`vocabulary` is the width of the model's logits, which may be more than the tokenizer knows."""
        self._tokenizer, self._vocabulary, self._stop = tokenizer, vocabulary, sorted(stop_tokens)
        self._compiler: Any = None

    def start(self, schema: dict[str, Any]) -> Any:
        """A matcher for one answer. Raises EngineError without xgrammar, and for a schema that it cannot enforce."""
        try:
            import xgrammar
        except ImportError as error:
            raise EngineError(
                f"Enforcing a schema on this engine needs xgrammar: {how_to_install('transformers')}"
            ) from error
        try:
            if self._compiler is None:
                about = xgrammar.TokenizerInfo.from_huggingface(self._tokenizer, vocab_size=self._vocabulary)
                self._compiler = xgrammar.GrammarCompiler(about)
            compiled = self._compiler.compile_json_schema(json.dumps(schema), any_whitespace=False)
        except (RuntimeError, ValueError) as error:
            raise EngineError(f"The JSON schema cannot be enforced: {error}. Ask without enforcing it.") from error
        return xgrammar.GrammarMatcher(compiled, override_stop_tokens=self._stop)


class Chooser:
    """Draws the tokens of one answer; the same seed draws the same.

    `log_probability` is that of the token drawn last, in nats, by the logits as they came; 0 where none is banned.
    """

    def __init__(self, sampling: Sampling, matcher: Any = None, *, banned: int | None = None) -> None:
        import torch

        self._sampling, self._matcher, self._banned = sampling, matcher, banned
        self.log_probability = 0.0
        self._generator = torch.Generator().manual_seed(sampling.seed)

    def choose(self, logits: Tensor) -> int:
        """The next token for logits (vocabulary,) in float32, which are changed in place."""
        import torch

        logits = logits.cpu()
        own = None
        if self._banned is not None:
            own = logits.log_softmax(-1)
            logits = logits.index_fill(0, torch.tensor(self._banned), float("-inf"))
        if self._matcher is not None:
            import xgrammar

            mask = xgrammar.allocate_token_bitmask(1, len(logits))
            self._matcher.fill_next_token_bitmask(mask)
            xgrammar.apply_token_bitmask_inplace(logits, mask[0])
        token = (
            int(logits.argmax())
            if self._sampling.temperature <= 0
            else self._draw(torch.softmax(logits / self._sampling.temperature, -1))
        )
        if self._matcher is not None:
            self._matcher.accept_token(token)
        if own is not None:
            self.log_probability = float(own[token])
        return token

    def _draw(self, probabilities: Tensor) -> int:
        """One of the likeliest tokens that together reach top_p (Holtzman et al., https://arxiv.org/abs/1904.09751)."""
        import torch

        values, tokens = probabilities.sort(descending=True)
        values[values.cumsum(-1) - values > self._sampling.top_p] = 0.0
        return int(tokens[torch.multinomial(values, 1, generator=self._generator)])
