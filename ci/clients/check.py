#!/usr/bin/env python3
"""Real Kafka clients against the real broker: client x check, as a table.

    ci/clients/run [CLIENT...]     installs the clients where they are missing, and runs this

Each check speaks to clients through adapters/ (one process a client, see adapters/rpc.py), reads the answers and judges
them here: order per partition, offsets, keys, values, headers, times. What a client cannot do is listed in CANNOT; a
check that is skipped for another reason has failed. Exit status 0 only if nothing failed.

Environment: LAMINARMQ_BIN the broker's binary; CLIENTS_DIR where `run` put the clients.
"""
import json
import os
import re
import select
import subprocess
import sys
import tempfile
import time
import uuid

HERE = os.path.dirname(os.path.abspath(__file__))
CLIENTS_DIR = os.environ["CLIENTS_DIR"]
PYTHON = f"{CLIENTS_DIR}/venv/bin/python"
ADAPTERS = {
    "confluent-kafka": [PYTHON, f"{HERE}/adapters/confluent.py"],
    "kafka-python": [PYTHON, f"{HERE}/adapters/kafka_python.py"],
    "aiokafka": [PYTHON, f"{HERE}/adapters/aiokafka_.py"],
    "kafkajs": ["node", f"{HERE}/adapters/kafkajs.js"],
}
# What a client has no call for, or what its adapter's client library does in another way.
CANNOT = {
    "confluent-kafka": set(),
    "kafka-python": {"settings", "delete_records", "admin_of_groups", "cooperative", "static_member"},
    "aiokafka": {"settings", "delete_records", "admin_of_groups", "cooperative", "add_partitions", "delete_topic",
                 "bounds"},
    "kafkajs": {"zstd", "at_time", "cooperative", "static_member"},
}
ANSWER_SECONDS = 90
PARTITIONS = 3
COUNT = 600
NOW = int(time.time() * 1000) - 3_600_000


class Failed(Exception):
    pass


def want(condition, message):
    if not condition:
        raise Failed(message)


class Adapter:
    """One client process."""

    def __init__(self, client, broker):
        env = {**os.environ, "NODE_PATH": f"{CLIENTS_DIR}/npm/node_modules", "PYTHONDONTWRITEBYTECODE": "1"}
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen([*ADAPTERS[client], broker], env=env, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=self.errors, text=True, bufsize=1)

    def start(self, call, /, **args):
        self.process.stdin.write(json.dumps({"call": call, "args": args}) + "\n")
        self.process.stdin.flush()

    def finish(self):
        ready, _, _ = select.select([self.process.stdout], [], [], ANSWER_SECONDS)
        want(ready, f"no answer in {ANSWER_SECONDS} s")
        line = self.process.stdout.readline()
        want(line, f"the client ended with {self.process.poll()}: {self.last_words()}")
        answer = json.loads(line)
        want("missing" not in answer, f"the adapter has no {answer.get('missing')}")
        want("error" not in answer, answer.get("error"))
        return answer["ok"]

    def call(self, name, /, **args):
        self.start(name, **args)
        return self.finish()

    def last_words(self):
        self.errors.seek(0)
        return self.errors.read().decode(errors="replace")[-300:]

    def kill(self):
        self.process.kill()
        self.process.wait()


class Bench:
    """What a check works with: adapters of one client, and names of its own."""

    def __init__(self, client, broker):
        self.client, self.broker, self.adapters = client, broker, []
        self.topic = f"check-{uuid.uuid4().hex[:8]}"
        self.group = f"group-{uuid.uuid4().hex[:8]}"

    def adapter(self):
        self.adapters.append(Adapter(self.client, self.broker))
        return self.adapters[-1]

    def kill(self):
        for adapter in self.adapters:
            adapter.kill()


def records(count, first=0, partitions=PARTITIONS):
    """Record i goes to partition i % partitions, with a key, a header and a time that follow from i."""
    return [{"partition": i % partitions, "key": f"key-{i}", "value": f"value-{i}-" + "x" * (i % 90),
             "time": NOW + i * 1000, "headers": [["number", str(i)]]} for i in range(first, first + count)]


def want_same(got, sent, partitions=PARTITIONS):
    """`got` is what was `sent`, in its order and at offsets without a gap, in each partition."""
    for p in range(partitions):
        mine = [r for r in got if r["partition"] == p]
        theirs = [r for r in sent if r["partition"] == p]
        want(len(mine) == len(theirs), f"partition {p}: {len(mine)} of {len(theirs)} records")
        for offset, (read, expected) in enumerate(zip(mine, theirs)):
            want(read["offset"] == offset, f"partition {p}: offset {read['offset']} where {offset} follows")
            for field in ("key", "value", "time", "headers"):
                want(read[field] == expected[field],
                     f"partition {p}, offset {offset}: {field} {read[field]!r}, sent {expected[field]!r}")


def round_trip(codec):
    def check(bench):
        client = bench.adapter()
        client.call("create_topic", topic=bench.topic, partitions=PARTITIONS)
        sent = records(COUNT)
        offsets = client.call("produce", topic=bench.topic, records=sent, codec=codec)
        want(offsets == [i // PARTITIONS for i in range(COUNT)], f"acknowledged at {offsets[:9]}...")
        want_same(client.call("read", topic=bench.topic, partitions=PARTITIONS, count=COUNT), sent)
    return check


def idempotent(bench):
    client = bench.adapter()
    client.call("create_topic", topic=bench.topic, partitions=PARTITIONS)
    sent = records(COUNT)
    client.call("produce", topic=bench.topic, records=sent, idempotent=True)
    want_same(client.call("read", topic=bench.topic, partitions=PARTITIONS, count=COUNT), sent)


def settled(members, seconds=60):
    """Poll all members until their assignments are complete and disjoint; return what they read."""
    got, deadline = [], time.monotonic() + seconds
    while True:
        for member in members:
            member.start("poll", seconds=1)
        got += [record for member in members for record in member.finish()]
        parts = [member.call("assignment") for member in members]
        if sorted(sum(parts, [])) == list(range(PARTITIONS)) and all(parts):
            return got
        want(time.monotonic() < deadline, f"assignments stay {parts}")


def want_all(got, sent):
    """Each record was read, and each partition's first readings are in order."""
    found = {(r["partition"], r["offset"]): r for r in got}
    for p in range(PARTITIONS):
        theirs = [r for r in sent if r["partition"] == p]
        for offset, expected in enumerate(theirs):
            read = found.get((p, offset))
            want(read, f"partition {p}: nobody read offset {offset}")
            want(read["value"] == expected["value"], f"partition {p}, offset {offset}: another value")
        last = -1
        for offset in (r["offset"] for r in got if r["partition"] == p):
            want(offset <= last + 1, f"partition {p}: offset {offset} read after {last}")
            last = max(last, offset)


def read_on(members, first, count):
    """Poll until records `first` to `first + count - 1` of the topic were read; return all that was read."""
    got, deadline = [], time.monotonic() + 60
    while True:
        fresh = {(r["partition"], r["offset"]) for r in got if r["offset"] >= first // PARTITIONS}
        if len(fresh) >= count:
            return got
        want(time.monotonic() < deadline, f"read {len(fresh)} of {count} records")
        for member in members:
            member.start("poll", seconds=1)
        got += [record for member in members for record in member.finish()]


def group(bench, strategy=None):
    """One member reads; two share; one leaves, and a third one goes on where the commit stands."""
    first = bench.adapter()
    first.call("create_topic", topic=bench.topic, partitions=PARTITIONS)
    sent = records(3 * COUNT)
    writer = bench.adapter()
    writer.call("produce", topic=bench.topic, records=sent[:COUNT])
    subscribe = {"topic": bench.topic, "group": bench.group, **({"strategy": strategy} if strategy else {})}
    commit = {"topic": bench.topic} if bench.client == "kafkajs" else {}
    first.call("subscribe", **subscribe)
    got = settled([first])
    if len(got) < COUNT:
        got += read_on([first], 0, COUNT - len(got))
    first.call("commit", **commit)
    second = bench.adapter()
    second.call("subscribe", **subscribe)
    got += settled([first, second])
    # Both have what they keep: what comes now, each of them reads behind what was committed.
    writer.call("produce", topic=bench.topic, records=sent[COUNT:2 * COUNT])
    got += read_on([first, second], COUNT, COUNT)
    want_all(got, sent[:2 * COUNT])
    for member in (first, second):
        member.call("commit", **commit)
    first.call("leave")
    settled([second])
    second.call("leave")
    third = bench.adapter()
    writer.call("produce", topic=bench.topic, records=sent[2 * COUNT:])
    third.call("subscribe", **subscribe)
    got = settled([third])
    deadline = time.monotonic() + 60
    while len(got) < COUNT and time.monotonic() < deadline:
        got += third.call("poll", seconds=1)
    start, end = 2 * COUNT // PARTITIONS, COUNT
    for p in range(PARTITIONS):
        offsets = [r["offset"] for r in got if r["partition"] == p]
        want(offsets == list(range(start, end)), f"partition {p}: read {offsets[:3]}..., committed {start}")
    third.call("leave")


def cooperative(bench):
    group(bench, "cooperative-sticky")


def static_member(bench):
    """A member with a name of its own comes back without the others being disturbed."""
    first, second = bench.adapter(), bench.adapter()
    first.call("create_topic", topic=bench.topic, partitions=PARTITIONS)
    for number, member in enumerate((first, second)):
        member.call("subscribe", topic=bench.topic, group=bench.group, instance=f"member-{number}")
    settled([first, second])
    before = second.call("assignment")
    second.kill()
    again = bench.adapter()
    again.call("subscribe", topic=bench.topic, group=bench.group, instance="member-1")
    settled([first, again])
    want(again.call("assignment") == before, "it has other partitions than before")


def admin_of_groups(bench):
    client = bench.adapter()
    client.call("create_topic", topic=bench.topic, partitions=PARTITIONS)
    client.call("produce", topic=bench.topic, records=records(30))
    member = bench.adapter()
    member.call("subscribe", topic=bench.topic, group=bench.group)
    got = settled([member])
    while len(got) < 30:
        got += member.call("poll", seconds=1)
    member.call("commit", **({"topic": bench.topic} if bench.client == "kafkajs" else {}))
    member.call("leave")
    want(bench.group in client.call("groups"), "the group is not listed")
    found = client.call("committed", group=bench.group, topic=bench.topic, partitions=PARTITIONS)
    want(found == [10, 10, 10], f"committed {found}")
    client.call("delete_group", group=bench.group)
    want(bench.group not in client.call("groups"), "the group is listed after it was deleted")


def at_time(bench):
    client = bench.adapter()
    client.call("create_topic", topic=bench.topic, partitions=PARTITIONS)
    client.call("produce", topic=bench.topic, records=records(300))
    for time_ms, right in ((NOW, [0, 0, 0]), (NOW + 150_000, [50, 50, 50]), (NOW + 150_001, [51, 50, 50]),
                           (NOW + 298_500, [None, None, 99]), (NOW + 300_000, [None, None, None])):
        found = client.call("at_time", topic=bench.topic, partitions=PARTITIONS, time_ms=time_ms)
        want(found == right, f"{time_ms - NOW} ms: {found}, right is {right}")


def settings(bench):
    client = bench.adapter()
    client.call("create_topic", topic=bench.topic, partitions=1)
    want(client.call("settings", topic=bench.topic)["max.message.bytes"] == "1048588", "not the default")
    client.call("alter", topic=bench.topic, name="max.message.bytes", value="4096")
    want(client.call("settings", topic=bench.topic)["max.message.bytes"] == "4096", "not what was set")


def delete_records(bench):
    client = bench.adapter()
    client.call("create_topic", topic=bench.topic, partitions=1)
    client.call("produce", topic=bench.topic, records=records(100, partitions=1))
    want(client.call("delete_records", topic=bench.topic, partition=0, offset=42) == 42, "another start")
    found = client.call("bounds", topic=bench.topic, partition=0)
    want(found == [42, 100], f"bounds {found}")


def add_partitions(bench):
    client = bench.adapter()
    client.call("create_topic", topic=bench.topic, partitions=1)
    client.call("add_partitions", topic=bench.topic, total=PARTITIONS)
    fresh = bench.adapter()
    sent = records(30)
    fresh.call("produce", topic=bench.topic, records=sent)
    want_same(fresh.call("read", topic=bench.topic, partitions=PARTITIONS, count=30), sent)


def delete_topic(bench):
    client = bench.adapter()
    client.call("create_topic", topic=bench.topic, partitions=1)
    client.call("produce", topic=bench.topic, records=records(10, partitions=1))
    client.call("delete_topic", topic=bench.topic)
    # Under the same name nothing of the old one is left.
    client.call("create_topic", topic=bench.topic, partitions=1)
    sent = records(5, first=50, partitions=1)
    fresh = bench.adapter()
    fresh.call("produce", topic=bench.topic, records=sent)
    want_same(fresh.call("read", topic=bench.topic, partitions=1, count=5), sent, partitions=1)


CHECKS = {
    "none": round_trip("none"), "gzip": round_trip("gzip"), "snappy": round_trip("snappy"),
    "lz4": round_trip("lz4"), "zstd": round_trip("zstd"),
    "idempotent": idempotent, "group": group, "cooperative": cooperative, "static_member": static_member,
    "admin_of_groups": admin_of_groups, "at_time": at_time, "settings": settings,
    "delete_records": delete_records, "add_partitions": add_partitions, "delete_topic": delete_topic,
}


def run_check(name, client, broker):
    """(verdict, seconds, detail)"""
    started = time.monotonic()
    if name in CANNOT[client]:
        return "-", 0.0, ""
    bench = Bench(client, broker)
    try:
        CHECKS[name](bench)
        return "ok", time.monotonic() - started, ""
    except (Failed, BrokenPipeError, KeyError) as error:
        return "FAIL", time.monotonic() - started, f"{type(error).__name__}: {error}"
    finally:
        bench.kill()


def start_broker(folder):
    command = [os.environ["LAMINARMQ_BIN"], "serve", "--listen", "127.0.0.1:0", "--data-dir", f"{folder}/data",
               "--http", "off"]
    broker = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=open(f"{folder}/log", "wb"), text=True)
    for line in broker.stdout:
        if found := re.search(r"ready kafka=(\S+)", line):
            return broker, found[1]
    with open(f"{folder}/log") as log:
        sys.exit(f"the broker does not start:\n{log.read()}")


def main():
    clients = sys.argv[1:] or list(ADAPTERS)
    if unknown := set(clients) - set(ADAPTERS):
        sys.exit(f"no such client: {' '.join(sorted(unknown))}; there are {' '.join(ADAPTERS)}")
    with tempfile.TemporaryDirectory() as folder:
        broker, address = start_broker(folder)
        try:
            found = {}
            for client in clients:
                for name in CHECKS:
                    found[name, client] = run_check(name, client, address)
                    verdict, seconds, detail = found[name, client]
                    if verdict == "FAIL":
                        print(f"{client} {name}: {detail}", file=sys.stderr, flush=True)
            want_running = broker.poll() is None
        finally:
            broker.terminate()
            status = broker.wait(60)
    print(f"{'':16}" + "".join(f"{client:>17}" for client in clients))
    for name in CHECKS:
        cells = (found[name, client] for client in clients)
        print(f"{name:16}" + "".join(f"{v if v != 'ok' else f'ok {s:.1f} s':>17}" for v, s, _ in cells))
    verdicts = [verdict for verdict, _, _ in found.values()]
    failed = verdicts.count("FAIL")
    if not want_running or status != 0:
        print(f"the broker ended by itself, or with status {status}")
        failed += 1
    print(f"\nclients: {verdicts.count('ok')} passed, {failed} failed; {verdicts.count('-')} not possible with the client")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
