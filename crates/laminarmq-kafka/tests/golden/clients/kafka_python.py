"""Has kafka-python send one of everything that it can: BOOTSTRAP=HOST:PORT python kafka_python.py"""
import os
import sys
import time

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, NewPartitions, NewTopic
from kafka.structs import OffsetAndMetadata

COMMON = {"bootstrap_servers": os.environ["BOOTSTRAP"], "client_id": "golden"}
TOPIC, GROUP = "golden", "golden-group"
PARTITION = TopicPartition(TOPIC, 0)
failed = []


def step(what, run):
    """A broker may lack something: the request was sent all the same."""
    try:
        return run()
    except Exception as error:
        failed.append(f"{what}: {type(error).__name__}: {error}")


admin = KafkaAdminClient(**COMMON)
admin.create_topics([NewTopic(TOPIC, 1, 1, topic_configs={"max.message.bytes": "1048588"})])
time.sleep(0.5)

producer = KafkaProducer(**COMMON, acks="all", enable_idempotence=True)
for i in range(3):
    producer.send(TOPIC, b"value-%d" % i, key=b"key-%d" % i, headers=[("h", b"x")], timestamp_ms=1_700_000_000_000 + i)
producer.flush(20)
producer.close()


def consume():
    consumer = KafkaConsumer(TOPIC, **COMMON, group_id=GROUP, auto_offset_reset="earliest", enable_auto_commit=False,
                             heartbeat_interval_ms=200, session_timeout_ms=6000)
    got, deadline = 0, time.monotonic() + 20
    while got < 3 and time.monotonic() < deadline:
        got += sum(len(records) for records in consumer.poll(500).values())
    consumer.commit({PARTITION: OffsetAndMetadata(3, "meta", -1)})
    consumer.committed(PARTITION)
    time.sleep(1)
    consumer.poll(100)
    consumer.close()
    assert got == 3, got


def simple():
    consumer = KafkaConsumer(**COMMON, group_id=None)
    consumer.assign([PARTITION])
    consumer.offsets_for_times({PARTITION: 1_700_000_000_001})
    consumer.end_offsets([PARTITION])
    consumer.seek_to_beginning()
    deadline = time.monotonic() + 10
    while not consumer.poll(500) and time.monotonic() < deadline:
        pass
    consumer.close()


resource = ConfigResource(ConfigResourceType.TOPIC, TOPIC, configs={"max.message.bytes": "2097152"})
step("simple consumer", simple)
step("group", consume)
step("describe configs", lambda: admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, TOPIC)]))
step("alter configs", lambda: admin.alter_configs([resource]))
step("create partitions", lambda: admin.create_partitions({TOPIC: NewPartitions(2)}))
step("delete records", lambda: admin.delete_records({PARTITION: 1}))
step("describe cluster", admin.describe_cluster)
step("list groups", admin.list_groups if hasattr(admin, "list_groups") else admin.list_consumer_groups)
step("describe groups", lambda: (getattr(admin, "describe_groups", None) or admin.describe_consumer_groups)([GROUP]))
step("list offsets of the group",
     lambda: (getattr(admin, "list_group_offsets", None) or admin.list_consumer_group_offsets)(GROUP))
step("delete groups", lambda: (getattr(admin, "delete_groups", None) or admin.delete_consumer_groups)([GROUP]))
step("delete topics", lambda: admin.delete_topics([TOPIC]))
for line in failed:
    print(line, file=sys.stderr)
