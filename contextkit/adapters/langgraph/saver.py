"""`KitSaver`: LangGraph's checkpoints in the memory of a kit. The long-term store is `store.py`.

A checkpoint is one state without its channels' values; each value is a state of its own by channel and version, so that what did
not change is not written again. What the serializer gives is kept byte for byte.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    PendingWrite,
    get_checkpoint_id,
    get_checkpoint_metadata,
    writes_sort_key,
)
from langgraph.checkpoint.serde.base import SerializerProtocol

from contextkit.adapters.shared import states
from contextkit.adapters.shared.threads import finished
from contextkit.errors import InputError

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig

    from contextkit.kit import Kit

List: TypeAlias = list  # the class below has a verb of that name
_CHECKPOINTS = ("langgraph", "checkpoints")
_BLOBS = ("langgraph", "blobs")
_WRITES = ("langgraph", "writes")


class KitSaver(BaseCheckpointSaver[str]):
    """LangGraph's checkpointer in the memory of a kit, with all of its optional verbs: copy, prune, delete by run.

    Lives as long as the index folder; several threads, event loops and processes may use it. Each call is one transaction: a
    checkpoint is there with all its values, or not at all. Values may be of any size.

    Args:
        kit: an open kit.
        serde: LangGraph's serializer; None: its own default.
        scope: whose checkpoints these are, so that they are forgotten with it, for example {"user": "ann"}; None: nobody's.

    Raises:
        InputError: the scope is none.
    """

    def __init__(self, kit: Kit, *, serde: SerializerProtocol | None = None, scope: Mapping[str, str] | None = None) -> None:
        from contextkit.memory import scopes

        super().__init__(serde=serde)
        self._kit = kit
        self._scope = None if scope is None else dict(scopes.checked(scope))

    # -------------------------------------------------------------------------------------------------------------------- reading

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """The checkpoint that a config names, or the last one of its thread and namespace; None where there is none."""
        thread, namespace = _thread(config), _namespace(config)
        wanted = get_checkpoint_id(config)
        prefix = (*_CHECKPOINTS, thread, namespace)
        if wanted:
            head = states.read(self._kit.memory, (*prefix, wanted))
            return None if head is None else self._tuple((*prefix, wanted), head, config)
        last = states.below(self._kit.memory, prefix, newest=True, limit=1)
        return self._tuple(last[0].path, last[0].value) if last else None

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002 - LangGraph's own name
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """Checkpoints, newest first; their values are read as they are taken.

        Args:
            config: of a thread, perhaps with a namespace or a checkpoint; None: of all threads.
            filter: what their metadata must equal.
            before: only checkpoints before the one that this config names.
            limit: at most so many.
        """
        configurable = config["configurable"] if config else {}
        prefix: states.Path = _CHECKPOINTS
        if config:
            prefix = (*prefix, _thread(config))
            if configurable.get("checkpoint_ns") is not None:
                prefix = (*prefix, configurable["checkpoint_ns"])
        only = get_checkpoint_id(config) if config else None
        end = get_checkpoint_id(before) if before else None
        left = limit
        for entry in sorted(states.below(self._kit.memory, prefix), key=lambda e: e.path[-1], reverse=True):
            if left is not None and left <= 0:
                return
            id_ = entry.path[-1]
            if (only and id_ != only) or (end and id_ >= end):
                continue
            metadata = self._loaded(entry.value["metadata"]) if filter else {}
            if filter and any(metadata.get(key) != value for key, value in filter.items()):
                continue
            left = None if left is None else left - 1
            yield self._tuple(entry.path, entry.value)

    def _tuple(self, path: states.Path, head: Mapping[str, Any], config: RunnableConfig | None = None) -> CheckpointTuple:
        thread, namespace, id_ = path[len(_CHECKPOINTS) :]
        checkpoint = cast("Checkpoint", self._loaded(head["checkpoint"]))
        values = {}
        for channel, version in checkpoint["channel_versions"].items():
            blob = states.read(self._kit.memory, _blob(thread, namespace, channel, version))
            if blob is not None and blob[0] != "empty":
                values[channel] = self._loaded(blob)
        checkpoint["channel_values"] = values
        return CheckpointTuple(
            config=_config(thread, namespace, id_) if config is None else config,
            checkpoint=checkpoint,
            metadata=self._loaded(head["metadata"]),
            parent_config=_config(thread, namespace, head["parent"]) if head["parent"] else None,
            pending_writes=self._pending(thread, namespace, id_),
        )

    def _pending(self, thread: str, namespace: str, id_: str) -> List[PendingWrite]:
        found = [e.value for e in states.below(self._kit.memory, (*_WRITES, thread, namespace, id_))]
        found.sort(key=lambda w: writes_sort_key(w["path"], w["task"], w["place"]))
        return [(w["task"], w["channel"], self._loaded(w["value"])) for w in found]

    # -------------------------------------------------------------------------------------------------------------------- writing

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Stores a checkpoint, and the values of the channels that are new in it; gives the config that names it."""
        thread, namespace, id_ = _thread(config), _namespace(config), checkpoint["id"]
        own: dict[str, Any] = dict(checkpoint)
        values = own.pop("channel_values")
        written: dict[states.Path, Any] = {
            _blob(thread, namespace, channel, version): self._dumped(values[channel]) if channel in values else ["empty", ""]
            for channel, version in new_versions.items()
        }
        full = get_checkpoint_metadata(config, metadata)
        written[(*_CHECKPOINTS, thread, namespace, id_)] = {
            "checkpoint": self._dumped(own),
            "metadata": self._dumped(full),
            "parent": config["configurable"].get("checkpoint_id"),
            "run": str(full.get("run_id") or ""),
        }
        states.write(self._kit.memory, written, scope=self._scope)
        return _config(thread, namespace, id_)

    def put_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """Stores what a task wrote after a checkpoint. What the task wrote there before stays, but for errors and interrupts."""
        thread, namespace = _thread(config), _namespace(config)
        task = (*_WRITES, thread, namespace, config["configurable"]["checkpoint_id"], task_id)
        there = {e.path[-1] for e in states.below(self._kit.memory, task)}
        written: dict[states.Path, Any] = {}
        for number, (channel, value) in enumerate(writes):
            place = WRITES_IDX_MAP.get(channel, number)
            if place >= 0 and str(place) in there:
                continue
            written[(*task, str(place))] = {
                "task": task_id, "channel": channel, "value": self._dumped(value), "path": task_path, "place": place,
            }  # fmt: skip
        states.write(self._kit.memory, written, scope=self._scope)

    def delete_thread(self, thread_id: str) -> None:
        """Removes all checkpoints, values and writes of a thread."""
        self._forget(self._all_of(str(thread_id)))

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Removes the checkpoints that the given runs made, their writes, and the values that no other checkpoint needs."""
        runs = {str(run) for run in run_ids}
        found = states.below(self._kit.memory, _CHECKPOINTS)
        gone = [e.path for e in found if e.value["run"] and e.value["run"] in runs]
        self._forget(self._with_all(found, gone))

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copies all checkpoints, values and writes of a thread to another one; nothing where there are none."""
        target = str(target_thread_id)
        copied = {
            (*e.path[:2], target, *e.path[3:]): e.value
            for root in (_CHECKPOINTS, _BLOBS, _WRITES)
            for e in states.below(self._kit.memory, (*root, str(source_thread_id)))
        }
        states.write(self._kit.memory, copied, scope=self._scope)

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Removes old checkpoints of threads.

        Args:
            thread_ids: the threads.
            strategy: "keep_latest" keeps the last one of each namespace, and those before it that its delta channels are rebuilt
                from; "delete" keeps none.

        Raises:
            InputError: another strategy; nothing was removed.
        """
        if strategy not in ("keep_latest", "delete"):
            raise InputError(f"no strategy {strategy!r}: prune knows 'keep_latest' and 'delete'")
        gone: List[states.Path] = []
        for thread in map(str, thread_ids):
            if strategy == "delete":
                gone += self._all_of(thread)
                continue
            found = states.below(self._kit.memory, (*_CHECKPOINTS, thread))
            kept = self._needed(found)
            gone += self._with_all(found, [e.path for e in found if e.path not in kept])
        self._forget(gone)

    def get_next_version(self, current: str | None, channel: None) -> str:  # noqa: ARG002 - LangGraph's own signature
        """The version after one; unlike any other, so that two branches of a thread never share a value."""
        number = 0 if current is None else int(str(current).split(".", maxsplit=1)[0])
        return f"{number + 1:032}.{secrets.token_hex(8)}"

    # --------------------------------------------------------------------------------------------------------------------- async

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """As `get_tuple`."""
        return await finished(self.get_tuple, config)

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002 - LangGraph's own name
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """As `list`."""
        found = self.list(config, filter=filter, before=before, limit=limit)
        while (one := await finished(next, found, None)) is not None:
            yield one

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """As `put`."""
        return await finished(self.put, config, checkpoint, metadata, new_versions)

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """As `put_writes`."""
        await finished(self.put_writes, config, writes, task_id, task_path)

    async def adelete_thread(self, thread_id: str) -> None:
        """As `delete_thread`."""
        await finished(self.delete_thread, thread_id)

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """As `delete_for_runs`."""
        await finished(self.delete_for_runs, run_ids)

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """As `copy_thread`."""
        await finished(self.copy_thread, source_thread_id, target_thread_id)

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """As `prune`."""
        await finished(lambda: self.prune(thread_ids, strategy=strategy))

    # -------------------------------------------------------------------------------------------------------------------- inside

    def _dumped(self, value: Any) -> List[str]:  # noqa: ANN401 - whatever a graph holds
        kind, data = self.serde.dumps_typed(value)
        return [kind, base64.b64encode(data).decode()]

    def _loaded(self, kept: Sequence[str]) -> Any:  # noqa: ANN401 - whatever a graph holds
        return self.serde.loads_typed((kept[0], base64.b64decode(kept[1])))

    def _all_of(self, thread: str) -> List[states.Path]:
        roots = (_CHECKPOINTS, _BLOBS, _WRITES)
        return [e.path for root in roots for e in states.below(self._kit.memory, (*root, thread))]

    def _forget(self, paths: Sequence[states.Path]) -> None:
        states.write(self._kit.memory, dict.fromkeys(paths))

    def _with_all(self, found: Sequence[states.Entry], gone: Sequence[states.Path]) -> List[states.Path]:
        """Checkpoints with their writes, and the values that none of the other checkpoints found needs."""
        left = set(gone)
        needed = {blob for e in found if e.path not in left for blob in self._blobs(e)}
        paths = [*gone, *(blob for e in found if e.path in left for blob in self._blobs(e) if blob not in needed)]
        for path in gone:
            paths += [e.path for e in states.below(self._kit.memory, (*_WRITES, *path[len(_CHECKPOINTS) :]))]
        return paths

    def _blobs(self, entry: states.Entry) -> List[states.Path]:
        thread, namespace = entry.path[len(_CHECKPOINTS) : -1]
        versions = self._loaded(entry.value["checkpoint"])["channel_versions"]
        return [_blob(thread, namespace, channel, version) for channel, version in versions.items()]

    def _needed(self, found: Sequence[states.Entry]) -> set[states.Path]:
        """The last checkpoint of each namespace, and its ancestors up to those that hold each of its delta channels' values."""
        by_path = {e.path: e for e in found}
        last: dict[states.Path, states.Entry] = {}
        for e in found:  # by name, so the last one wins
            last[e.path[:-1]] = max(last.get(e.path[:-1], e), e, key=lambda one: one.path[-1])
        kept: set[states.Path] = set()
        for newest in last.values():
            entry: states.Entry | None = newest
            open_channels = set(self._loaded(newest.value["metadata"]).get("counters_since_delta_snapshot") or ())
            while entry is not None:
                kept.add(entry.path)
                open_channels -= self._held(entry) if open_channels else set()
                parent = entry.value["parent"]
                entry = by_path.get((*entry.path[:-1], parent)) if open_channels and parent else None
        return kept

    def _held(self, entry: states.Entry) -> set[str]:
        """The channels whose values a checkpoint holds itself."""
        thread, namespace = entry.path[len(_CHECKPOINTS) : -1]
        held = set()
        for channel, version in self._loaded(entry.value["checkpoint"])["channel_versions"].items():
            blob = states.read(self._kit.memory, _blob(thread, namespace, channel, version))
            if blob is not None and blob[0] != "empty":
                held.add(channel)
        return held


def _thread(config: RunnableConfig) -> str:
    thread = config.get("configurable", {}).get("thread_id")
    if thread is None or not str(thread):
        raise InputError('the config names no thread: {"configurable": {"thread_id": "..."}}')
    return str(thread)


def _namespace(config: RunnableConfig) -> str:
    return str(config["configurable"].get("checkpoint_ns") or "")


def _config(thread: str, namespace: str, id_: str) -> RunnableConfig:
    return {"configurable": {"thread_id": thread, "checkpoint_ns": namespace, "checkpoint_id": id_}}


def _blob(thread: str, namespace: str, channel: str, version: str | float) -> states.Path:
    """Where a channel's value is kept; the version as JSON, so that 1 and "1" differ."""
    return (*_BLOBS, thread, namespace, channel, json.dumps(version))
