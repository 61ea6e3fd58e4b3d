"""Has librdkafka, by confluent-kafka, send one of everything that it can: BOOTSTRAP=HOST:PORT python librdkafka.py"""
import os
import sys
import time

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, Producer, TopicPartition
from confluent_kafka.admin import (AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions, NewTopic,
                                   OffsetSpec)

COMMON = {"bootstrap.servers": os.environ["BOOTSTRAP"], "client.id": "golden"}
TOPIC, GROUP = "golden", "golden-group"
failed = []


def step(what, run):
    """A broker may lack something: the request was sent all the same."""
    try:
        result = run()
        for future in result.values() if isinstance(result, dict) else [result] if hasattr(result, "result") else []:
            future.result(20)
    except Exception as error:
        failed.append(f"{what}: {type(error).__name__}: {error}")


admin = AdminClient(COMMON)
for future in admin.create_topics([NewTopic(TOPIC, 1, 1, config={"max.message.bytes": "1048588"})]).values():
    future.result(20)
time.sleep(0.5)

producer = Producer({**COMMON, "enable.idempotence": True, "linger.ms": 50})
for i in range(3):
    producer.produce(TOPIC, b"value-%d" % i, key=b"key-%d" % i, headers=[("h", b"x")], partition=0,
                     timestamp=1_700_000_000_000 + i)
assert producer.flush(20) == 0


def consume():
    consumer = Consumer({**COMMON, "group.id": GROUP, "auto.offset.reset": "earliest", "enable.auto.commit": False,
                         "heartbeat.interval.ms": 200, "session.timeout.ms": 6000})
    consumer.subscribe([TOPIC])
    got, deadline = 0, time.monotonic() + 20
    while got < 3 and time.monotonic() < deadline:
        message = consumer.poll(0.5)
        got += message is not None and message.error() is None
    consumer.commit(offsets=[TopicPartition(TOPIC, 0, 3, metadata="meta")], asynchronous=False)
    consumer.committed([TopicPartition(TOPIC, 0)], timeout=10)
    time.sleep(1)
    consumer.poll(0.1)
    consumer.close()
    assert got == 3, got


def simple():
    consumer = Consumer({**COMMON, "group.id": "unused", "enable.auto.commit": False})
    consumer.offsets_for_times([TopicPartition(TOPIC, 0, 1_700_000_000_001)], timeout=10)
    consumer.get_watermark_offsets(TopicPartition(TOPIC, 0), timeout=10)
    consumer.assign([TopicPartition(TOPIC, 0, 0)])
    assert consumer.poll(10).value() == b"value-0"
    consumer.close()


topic = ConfigResource(ConfigResource.Type.TOPIC, TOPIC)
changed = ConfigResource(ConfigResource.Type.TOPIC, TOPIC, set_config={"max.message.bytes": "2097152"})
one = ConfigEntry("max.message.bytes", "2097152", incremental_operation=AlterConfigOpType.SET)
incremental = ConfigResource(ConfigResource.Type.TOPIC, TOPIC, incremental_configs=[one])
step("simple consumer", simple)
step("group", consume)
step("describe configs", lambda: admin.describe_configs([topic]))
step("alter configs", lambda: admin.alter_configs([changed]))
step("incremental alter configs", lambda: admin.incremental_alter_configs([incremental]))
step("create partitions", lambda: admin.create_partitions([NewPartitions(TOPIC, 2)]))
step("list offsets", lambda: admin.list_offsets({TopicPartition(TOPIC, 0): OffsetSpec.latest()}))
step("delete records", lambda: admin.delete_records([TopicPartition(TOPIC, 0, 1)]))
step("describe cluster", lambda: admin.describe_cluster())
step("list groups", lambda: admin.list_consumer_groups())
step("describe groups", lambda: admin.describe_consumer_groups([GROUP]))
step("group offsets", lambda: admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(GROUP)]))
step("delete groups", lambda: admin.delete_consumer_groups([GROUP]))
step("delete topics", lambda: admin.delete_topics([TOPIC]))
for line in failed:
    print(line, file=sys.stderr)
