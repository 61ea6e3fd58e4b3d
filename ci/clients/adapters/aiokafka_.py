"""aiokafka behind the calls of check.py. Its event loop runs only while a call does, but for the member of a group."""
import asyncio
import sys
import threading
import time

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
import rpc

WAIT = 30


class Adapter:
    def __init__(self, bootstrap):
        self.bootstrap = bootstrap
        self.member = None
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    def _run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(WAIT * 2)

    def create_topic(self, topic, partitions):
        async def go():
            admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
            await admin.start()
            try:
                await admin.create_topics([NewTopic(topic, partitions, 1)])
            finally:
                await admin.close()
        self._run(go())

    def produce(self, topic, records, codec="none", idempotent=False):
        async def go():
            producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap, acks="all", linger_ms=5,
                                        compression_type=None if codec == "none" else codec,
                                        enable_idempotence=idempotent)
            await producer.start()
            try:
                sent = [await producer.send(topic, partition=r["partition"], key=rpc.raw(r["key"]),
                                            value=rpc.raw(r["value"]), timestamp_ms=r["time"],
                                            headers=[(k, rpc.raw(v)) for k, v in r["headers"]]) for r in records]
                return [(await future).offset for future in sent]
            finally:
                await producer.stop()
        return self._run(go())

    def _records(self, polled):
        return [{"partition": m.partition, "offset": m.offset, "key": rpc.text(m.key), "value": rpc.text(m.value),
                 "time": m.timestamp, "headers": [[k, rpc.text(v)] for k, v in m.headers]}
                for batch in polled.values() for m in batch]

    def read(self, topic, partitions, count):
        async def go():
            consumer = AIOKafkaConsumer(bootstrap_servers=self.bootstrap, enable_auto_commit=False)
            await consumer.start()
            try:
                wanted = [TopicPartition(topic, p) for p in range(partitions)]
                consumer.assign(wanted)
                await consumer.seek_to_beginning(*wanted)
                got, deadline = [], time.monotonic() + WAIT
                while len(got) < count and time.monotonic() < deadline:
                    got.extend(self._records(await consumer.getmany(timeout_ms=500)))
                got.extend(self._records(await consumer.getmany(timeout_ms=500)))
                return got
            finally:
                await consumer.stop()
        return self._run(go())

    def subscribe(self, topic, group, strategy=None, instance=None):
        async def go():
            self.member = AIOKafkaConsumer(topic, bootstrap_servers=self.bootstrap, group_id=group,
                                           group_instance_id=instance, auto_offset_reset="earliest",
                                           enable_auto_commit=False, session_timeout_ms=10_000,
                                           heartbeat_interval_ms=1_000)
            await self.member.start()
        self._run(go())

    def poll(self, seconds):
        async def go():
            got, deadline = [], time.monotonic() + seconds
            while time.monotonic() < deadline:
                got.extend(self._records(await self.member.getmany(timeout_ms=200)))
            return got
        return self._run(go())

    def assignment(self):
        return sorted(p.partition for p in self.member.assignment())

    def commit(self):
        if self.member.assignment():
            self._run(self.member.commit())

    def leave(self):
        self._run(self.member.stop())

    def at_time(self, topic, partitions, time_ms):
        async def go():
            consumer = AIOKafkaConsumer(bootstrap_servers=self.bootstrap)
            await consumer.start()
            try:
                wanted = [TopicPartition(topic, p) for p in range(partitions)]
                found = await consumer.offsets_for_times({p: time_ms for p in wanted})
                return [found[p].offset if found.get(p) else None for p in wanted]
            finally:
                await consumer.stop()
        return self._run(go())


rpc.serve(Adapter(sys.argv[1]))
