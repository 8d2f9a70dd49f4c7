"""A vision-language model behind any OpenAI-compatible server: vLLM, SGLang, `transformers serve`, hosted ones."""

from __future__ import annotations

import base64
import io
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel, Field, ValidationError

from resources.loading.loaded_once import LoadedOnce
from resources.settings import without_login
from resources.vlm.bounded_http import bounded_client
from resources.vlm.prompt import ANALYZE, JUDGE, prompt
from stages.imaging.arrays import Picture
from stages.imaging.resizing import for_model
from stages.values import Analysis, Judgement, ModelInfo
from stages.vlm_analyze import AnalysisAnswer
from stages.vlm_judge import JudgementAnswer
from stages.wording import message_text, shown

A = TypeVar("A", bound=BaseModel)

_FIRST_PAUSE_S = 0.5
"""Before the first retry; each later pause is twice as long."""


class ModelUnavailable(Exception):
    """The server does not answer, or not in the form that was asked for. Trying again later may help."""


@dataclass(frozen=True)
class EndpointSettings:
    """`retries` are made after 429, 5xx and lost connections; `answers` are asked for until one fits the schema.

    An answer may take `timeout_s` from first to last, with its retries.
    """

    url: str = field(repr=False)
    model: str
    api_key: str = field(repr=False)
    proxy: str | None = field(default=None, repr=False)
    timeout_s: float = 120.0
    retries: int = 3
    answers: int = 3
    at_once: int = 4
    max_tokens: int = 1024

    @property
    def public_url(self) -> str:
        """Where the server is, as people see it."""
        return without_login(self.url)


class CircuitBreaker:
    """After `limit` failures in a row, requests fail at once for `pause_s`: runs do not wait for a dead server."""

    def __init__(self, limit: int = 5, pause_s: float = 30.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit, self._pause_s, self._clock = limit, pause_s, clock
        self._failures, self._open_until_s, self._last = 0, 0.0, ""
        self._lock = threading.Lock()

    def check(self) -> None:
        with self._lock:
            left_s = self._open_until_s - self._clock()
        if left_s > 0:
            raise ModelUnavailable(
                f"the model server failed {self._limit} times in a row and is left alone for {left_s:.0f} s more;"
                f" its last error: {self._last}"
            )

    def succeeded(self) -> None:
        with self._lock:
            self._failures = 0

    def failed(self, error: Exception) -> None:
        with self._lock:
            self._failures += 1
            self._last = _why(error)
            if self._failures >= self._limit:
                self._failures, self._open_until_s = 0, self._clock() + self._pause_s


class _Message(BaseModel):
    content: str | None = None


class _Choice(BaseModel):
    message: _Message


class _Usage(BaseModel):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Completion(BaseModel):
    """What is read of a server's answer. The library's own classes take whatever comes."""

    choices: list[_Choice] = Field(min_length=1)
    usage: _Usage | None = None


class EndpointVision:
    """The request contains the picture, so the server fetches nothing. Every answer is validated here."""

    def __init__(self, settings: EndpointSettings, breaker: CircuitBreaker | None = None) -> None:
        self._settings = settings
        self._client: LoadedOnce[Any] = LoadedOnce(self._connect, at_once=settings.at_once)
        self._breaker = breaker or CircuitBreaker()

    @property
    def info(self) -> ModelInfo:
        parameters = {"temperature": 0, "max_tokens": self._settings.max_tokens}
        return ModelInfo(
            provider="endpoint", model=self._settings.model, revision=self._settings.public_url, parameters=parameters
        )

    # Two processes must not write to one connection.
    survives_fork = False

    def load(self) -> None:
        """Asks the server for its models, to know that it is there and accepts the key. Raises ModelUnavailable."""
        from openai import APIStatusError, AuthenticationError, PermissionDeniedError

        with self._guarded() as client:
            try:
                client.models.with_raw_response.list()
            except (AuthenticationError, PermissionDeniedError):
                raise
            except APIStatusError:
                # Not every server can list its models. This one has answered, and that is enough.
                return

    def analyze(self, image: Picture, copy: str) -> Analysis:
        answer, used = self._ask(ANALYZE, AnalysisAnswer, image, copy=copy)
        return answer.analysis(used)

    def judge(self, ad: Picture, copy: str, brief: str) -> Judgement:
        answer, used = self._ask(JUDGE, JudgementAnswer, ad, copy=copy, brief=brief)
        return answer.judgement(used)

    def _ask(self, version: str, schema: type[A], image: Picture, **data: str) -> tuple[A, ModelInfo]:
        messages: list[dict[str, Any]] = [
            {
                "role": "user",
                "content": [
                    {"type": "image_url", "image_url": {"url": data_url(image)}},
                    {"type": "text", "text": prompt(version, **data)},
                ],
            }
        ]
        refused = ""
        for attempt in range(1, self._settings.answers + 1):
            completion = self._complete(messages, schema)
            text = completion.choices[0].message.content or ""
            try:
                answer = schema.model_validate_json(_unfenced(text))
            except ValidationError as error:
                refused = f"{shown(text)} ({error.error_count()} errors, first: {error.errors()[0]['msg']})"
                messages = [*messages[:1], *_correction(text, schema)]
                continue
            return answer, self._used(version, completion, attempt)
        raise ModelUnavailable(
            f"{self._settings.model} at {self._settings.public_url} gave no answer of the asked form in"
            f" {self._settings.answers} attempts; the last was {refused}. Use a server that honours response_format."
        )

    def _complete(self, messages: list[dict[str, Any]], schema: type[BaseModel]) -> _Completion:
        asked = {
            "model": self._settings.model,
            "messages": messages,
            "temperature": 0,
            "max_tokens": self._settings.max_tokens,
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": schema.__name__, "schema": schema.model_json_schema(), "strict": True},
            },
        }
        with self._guarded() as client:
            ask = client.chat.completions.with_raw_response.create
            response = self._with_retries(lambda left_s: ask(**asked, timeout=left_s))
        try:
            return _Completion.model_validate_json(response.content)
        except ValidationError as error:
            raise ModelUnavailable(
                f"{self._settings.model} at {self._settings.public_url} gave no answer of the OpenAI form:"
                f" {error.errors()[0]['msg']}"
            ) from None

    def _with_retries(self, ask: Callable[[float], Any]) -> Any:
        """What `ask` returns, which is given the seconds that are left."""
        from openai import OpenAIError

        ends_s = time.monotonic() + self._settings.timeout_s
        for attempt in range(self._settings.retries):
            try:
                return ask(ends_s - time.monotonic())
            except OpenAIError as error:
                pause_s = _FIRST_PAUSE_S * 2**attempt
                if not _may_pass(error) or time.monotonic() + pause_s > ends_s:
                    raise
                time.sleep(pause_s)
        return ask(ends_s - time.monotonic())

    @contextmanager
    def _guarded(self) -> Iterator[Any]:
        """The client, while fewer than `at_once` requests are in flight. Failures are counted, and name the server."""
        from openai import OpenAIError

        self._breaker.check()
        try:
            with self._client.in_use() as client:
                yield client
        except OpenAIError as error:
            self._breaker.failed(error)
            raise ModelUnavailable(
                f"{self._settings.model} at {self._settings.public_url} failed after {self._settings.retries} retries:"
                f" {_why(error)}. Check that the server runs and VLM_URL and VLM_API_KEY are right."
            ) from None
        self._breaker.succeeded()

    def _used(self, version: str, completion: _Completion, attempts: int) -> ModelInfo:
        usage = completion.usage
        extra = {
            "prompt": version,
            "attempts": attempts,
            "prompt_tokens": usage.prompt_tokens if usage else None,
            "completion_tokens": usage.completion_tokens if usage else None,
        }
        return self.info.model_copy(update={"parameters": {**self.info.parameters, **extra}})

    def _connect(self) -> Any:
        from openai import OpenAI

        given = self._settings
        return OpenAI(
            base_url=given.public_url,
            api_key=given.api_key,
            timeout=given.timeout_s,
            # The library would wait as long as the server says; retries are made here.
            max_retries=0,
            http_client=bounded_client(given.url, given.proxy),
        )


def _may_pass(error: Exception) -> bool:
    """Whether the same request may succeed later."""
    from openai import APIConnectionError, APIStatusError

    if isinstance(error, APIStatusError):
        return error.status_code in (408, 409, 429) or error.status_code >= 500
    return isinstance(error, APIConnectionError)


def _why(error: Exception) -> str:
    """An error of the client and what caused it, cut: an answer that stands in it may be long."""
    causes = [error, *([error.__cause__] if error.__cause__ else [])]
    return ", by ".join(f"{type(each).__name__}: {message_text(str(each))}" for each in causes)


def data_url(image: Picture) -> str:
    """The picture as a JPEG in a data URL, its longer side at most 1024 px."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(for_model(image)).save(buffer, "JPEG", quality=90)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _unfenced(text: str) -> str:
    """The answer without the Markdown fence that many models put around JSON. Nothing else is repaired."""
    stripped = text.strip()
    if stripped.startswith("```") and stripped.endswith("```"):
        return stripped.strip("`").removeprefix("json").strip()
    return stripped


def _correction(text: str, schema: type[BaseModel]) -> list[dict[str, Any]]:
    return [
        {"role": "assistant", "content": text or "(nothing)"},
        {"role": "user", "content": f"Answer again with JSON of exactly this schema: {schema.model_json_schema()}"},
    ]
