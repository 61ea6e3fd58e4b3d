"""kafka-python behind the calls of check.py."""
import sys
import time

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient, NewPartitions, NewTopic
import rpc

WAIT = 30


class Adapter:
    def __init__(self, bootstrap):
        self.bootstrap = bootstrap
        self.member = None
        self._admin = None

    @property
    def admin(self):
        if self._admin is None:
            self._admin = KafkaAdminClient(bootstrap_servers=self.bootstrap)
        return self._admin

    def create_topic(self, topic, partitions):
        self.admin.create_topics([NewTopic(topic, partitions, 1)])

    def add_partitions(self, topic, total):
        self.admin.create_partitions({topic: NewPartitions(total)})

    def delete_topic(self, topic):
        self.admin.delete_topics([topic])

    def produce(self, topic, records, codec="none", idempotent=False):
        producer = KafkaProducer(bootstrap_servers=self.bootstrap, acks="all", linger_ms=5,
                                 compression_type=None if codec == "none" else codec, enable_idempotence=idempotent)
        sent = [producer.send(topic, partition=r["partition"], key=rpc.raw(r["key"]), value=rpc.raw(r["value"]),
                              timestamp_ms=r["time"], headers=[(k, rpc.raw(v)) for k, v in r["headers"]])
                for r in records]
        producer.flush(WAIT)
        offsets = [future.get(WAIT).offset for future in sent]
        producer.close()
        return offsets

    def _records(self, polled):
        return [{"partition": m.partition, "offset": m.offset, "key": rpc.text(m.key), "value": rpc.text(m.value),
                 "time": m.timestamp, "headers": [[k, rpc.text(v)] for k, v in m.headers]}
                for batch in polled.values() for m in batch]

    def read(self, topic, partitions, count):
        consumer = KafkaConsumer(bootstrap_servers=self.bootstrap, group_id=None, enable_auto_commit=False)
        wanted = [TopicPartition(topic, p) for p in range(partitions)]
        consumer.assign(wanted)
        consumer.seek_to_beginning(*wanted)
        got, deadline = [], time.monotonic() + WAIT
        while len(got) < count and time.monotonic() < deadline:
            got.extend(self._records(consumer.poll(500)))
        got.extend(self._records(consumer.poll(500)))
        consumer.close()
        return got

    def subscribe(self, topic, group, strategy=None, instance=None):
        self.member = KafkaConsumer(topic, bootstrap_servers=self.bootstrap, group_id=group,
                                    auto_offset_reset="earliest", enable_auto_commit=False,
                                    session_timeout_ms=10_000, heartbeat_interval_ms=1_000)

    def poll(self, seconds):
        got, deadline = [], time.monotonic() + seconds
        while time.monotonic() < deadline:
            got.extend(self._records(self.member.poll(200)))
        return got

    def assignment(self):
        return sorted(p.partition for p in self.member.assignment())

    def commit(self):
        if self.member.assignment():
            self.member.commit()

    def leave(self):
        self.member.close()

    def at_time(self, topic, partitions, time_ms):
        consumer = KafkaConsumer(bootstrap_servers=self.bootstrap)
        wanted = [TopicPartition(topic, p) for p in range(partitions)]
        found = consumer.offsets_for_times({p: time_ms for p in wanted})
        consumer.close()
        return [found[p].offset if found.get(p) else None for p in wanted]

    def bounds(self, topic, partition):
        consumer = KafkaConsumer(bootstrap_servers=self.bootstrap)
        wanted = TopicPartition(topic, partition)
        low, high = consumer.beginning_offsets([wanted])[wanted], consumer.end_offsets([wanted])[wanted]
        consumer.close()
        return [low, high]

    def alter(self, topic, name, value):
        self.admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {name: value})])


rpc.serve(Adapter(sys.argv[1]))
