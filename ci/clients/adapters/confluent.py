"""confluent-kafka (librdkafka) behind the calls of check.py."""
import sys
import time

from confluent_kafka import (Consumer, ConsumerGroupTopicPartitions, KafkaError, KafkaException, Producer,
                             TopicPartition)
from confluent_kafka.admin import (AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions,
                                   NewTopic, ResourceType)
import rpc

WAIT = 30


class Adapter:
    def __init__(self, bootstrap):
        self.config = {"bootstrap.servers": bootstrap}
        self.admin = AdminClient(self.config)
        self.member = None

    def create_topic(self, topic, partitions):
        self.admin.create_topics([NewTopic(topic, partitions, 1)])[topic].result(WAIT)

    def add_partitions(self, topic, total):
        self.admin.create_partitions([NewPartitions(topic, total)])[topic].result(WAIT)

    def delete_topic(self, topic):
        self.admin.delete_topics([topic])[topic].result(WAIT)

    def produce(self, topic, records, codec="none", idempotent=False):
        failures, offsets = [], {}

        def delivered(number):
            def done(error, message):
                failures.append(str(error)) if error else offsets.update({number: message.offset()})
            return done

        producer = Producer({**self.config, "compression.type": codec, "enable.idempotence": idempotent,
                             "linger.ms": 5, "message.timeout.ms": WAIT * 1000})
        for number, record in enumerate(records):
            producer.produce(topic, partition=record["partition"], key=rpc.raw(record["key"]),
                             value=rpc.raw(record["value"]), timestamp=record["time"],
                             headers=[(k, rpc.raw(v)) for k, v in record["headers"]], on_delivery=delivered(number))
            producer.poll(0)
        left = producer.flush(WAIT)
        if left or failures:
            raise RuntimeError(f"{left} not delivered, {failures[:1]}")
        return [offsets[number] for number in range(len(records))]

    def _records(self, messages):
        for message in messages:
            if message.error():
                raise RuntimeError(str(message.error()))
            yield {"partition": message.partition(), "offset": message.offset(), "key": rpc.text(message.key()),
                   "value": rpc.text(message.value()), "time": message.timestamp()[1],
                   "headers": [[k, rpc.text(v)] for k, v in message.headers() or []]}

    def read(self, topic, partitions, count):
        consumer = Consumer({**self.config, "group.id": "unused", "enable.auto.commit": False})
        consumer.assign([TopicPartition(topic, p, 0) for p in range(partitions)])
        got, deadline = [], time.monotonic() + WAIT
        while len(got) < count and time.monotonic() < deadline:
            got.extend(self._records(consumer.consume(500, 0.5)))
        got.extend(self._records(consumer.consume(500, 0.5)))  # nothing may follow
        consumer.close()
        return got

    def subscribe(self, topic, group, strategy=None, instance=None):
        config = {**self.config, "group.id": group, "auto.offset.reset": "earliest", "enable.auto.commit": False,
                  "session.timeout.ms": 10_000}
        if strategy:
            config["partition.assignment.strategy"] = strategy
        if instance:
            config["group.instance.id"] = instance
        self.member = Consumer(config)
        self.member.subscribe([topic])

    def poll(self, seconds):
        got, deadline = [], time.monotonic() + seconds
        while time.monotonic() < deadline:
            got.extend(self._records(self.member.consume(500, 0.2)))
        return got

    def assignment(self):
        return sorted(p.partition for p in self.member.assignment())

    def commit(self):
        try:
            self.member.commit(asynchronous=False)
        except KafkaException as error:
            # It was given partitions and has read nothing of them yet.
            if error.args[0].code() != KafkaError._NO_OFFSET:
                raise

    def leave(self):
        self.member.close()

    def committed(self, group, topic, partitions):
        wanted = [TopicPartition(topic, p) for p in range(partitions)]
        asked = ConsumerGroupTopicPartitions(group, wanted)
        found = self.admin.list_consumer_group_offsets([asked])[group].result(WAIT)
        return [p.offset if p.offset >= 0 else None for p in found.topic_partitions]

    def groups(self):
        return [group.group_id for group in self.admin.list_consumer_groups().result(WAIT).valid]

    def delete_group(self, group):
        self.admin.delete_consumer_groups([group])[group].result(WAIT)

    def at_time(self, topic, partitions, time_ms):
        consumer = Consumer({**self.config, "group.id": "unused"})
        found = consumer.offsets_for_times([TopicPartition(topic, p, time_ms) for p in range(partitions)], WAIT)
        consumer.close()
        return [p.offset if p.offset >= 0 else None for p in found]

    def bounds(self, topic, partition):
        consumer = Consumer({**self.config, "group.id": "unused"})
        low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), WAIT)
        consumer.close()
        return [low, high]

    def settings(self, topic):
        resource = ConfigResource(ResourceType.TOPIC, topic)
        found = self.admin.describe_configs([resource])[resource].result(WAIT)
        return {name: entry.value for name, entry in found.items()}

    def alter(self, topic, name, value):
        entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
        self.admin.incremental_alter_configs([resource])[resource].result(WAIT)

    def delete_records(self, topic, partition, offset):
        wanted = TopicPartition(topic, partition, offset)
        return self.admin.delete_records([wanted])[wanted].result(WAIT).low_watermark


rpc.serve(Adapter(sys.argv[1]))
