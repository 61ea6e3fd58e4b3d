// kafkajs behind the calls of check.py; the conversation is described in rpc.py.
const readline = require("readline");
const { Kafka, logLevel, CompressionTypes, CompressionCodecs, ConfigResourceTypes } = require("kafkajs");
CompressionCodecs[CompressionTypes.Snappy] = require("kafkajs-snappy");
CompressionCodecs[CompressionTypes.LZ4] = new (require("kafkajs-lz4"))().codec;

const WAIT = 30000;
const kafka = new Kafka({ brokers: [process.argv[2]], clientId: "check", logLevel: logLevel.ERROR,
  logCreator: () => ({ log }) => process.stderr.write(`${log.message}\n`) });
const text = (value) => (value === null || value === undefined ? null : Buffer.from(value).toString("latin1"));
const raw = (value) => (value === null ? null : Buffer.from(value, "latin1"));
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const CODECS = { none: CompressionTypes.None, gzip: CompressionTypes.GZIP, snappy: CompressionTypes.Snappy,
  lz4: CompressionTypes.LZ4 };

async function admin(work) {
  const client = kafka.admin();
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.disconnect();
  }
}

function record(partition, message) {
  const headers = Object.entries(message.headers || {});
  return { partition, offset: Number(message.offset), key: text(message.key), value: text(message.value),
    time: Number(message.timestamp), headers: headers.map(([k, v]) => [k, text(v)]) };
}

let member = null;
let seen = [];
let assigned = [];

const adapter = {
  create_topic: ({ topic, partitions }) => admin((client) =>
    client.createTopics({ topics: [{ topic, numPartitions: partitions, replicationFactor: 1 }], waitForLeaders: true })),
  add_partitions: ({ topic, total }) => admin((client) =>
    client.createPartitions({ topicPartitions: [{ topic, count: total }] })),
  delete_topic: ({ topic }) => admin((client) => client.deleteTopics({ topics: [topic] })),

  async produce({ topic, records, codec = "none", idempotent = false }) {
    if (!(codec in CODECS)) return { missing: codec };
    const producer = kafka.producer({ idempotent, maxInFlightRequests: 1 });
    await producer.connect();
    try {
      const messages = records.map((r) => ({ partition: r.partition, key: raw(r.key), value: raw(r.value),
        timestamp: String(r.time), headers: Object.fromEntries(r.headers.map(([k, v]) => [k, raw(v)])) }));
      const next = {};
      for (const told of await producer.send({ topic, messages, acks: -1, compression: CODECS[codec] })) {
        next[told.partition] = Number(told.baseOffset);
      }
      return { ok: records.map((r) => next[r.partition]++) };
    } finally {
      await producer.disconnect();
    }
  },

  async read({ topic, count }) {
    const consumer = kafka.consumer({ groupId: `read-${topic}-${process.pid}` });
    const got = [];
    await consumer.connect();
    await consumer.subscribe({ topics: [topic], fromBeginning: true });
    await consumer.run({ autoCommit: false,
      eachMessage: async ({ partition, message }) => { got.push(record(partition, message)); } });
    for (let waited = 0; got.length < count && waited < WAIT; waited += 100) await sleep(100);
    await sleep(500);
    await consumer.disconnect();
    return { ok: got };
  },

  async subscribe({ topic, group }) {
    member = kafka.consumer({ groupId: group, sessionTimeout: 10000, heartbeatInterval: 1000 });
    member.on(member.events.GROUP_JOIN, ({ payload }) => { assigned = payload.memberAssignment[topic] || []; });
    await member.connect();
    await member.subscribe({ topics: [topic], fromBeginning: true });
    await member.run({ autoCommit: false,
      eachMessage: async ({ partition, message }) => { seen.push(record(partition, message)); } });
  },
  async poll({ seconds }) {
    await sleep(seconds * 1000);
    const got = seen;
    seen = [];
    adapter.read_up_to(got);
    return { ok: got };
  },
  read_up_to(records) {
    for (const r of records) adapter.next[r.partition] = r.offset + 1;
  },
  next: {},
  assignment: async () => ({ ok: [...assigned].sort((a, b) => a - b) }),
  async commit({ topic }) {
    const offsets = Object.entries(adapter.next).filter(([p]) => assigned.includes(Number(p)));
    await member.commitOffsets(offsets.map(([p, offset]) => ({ topic, partition: Number(p), offset: String(offset) })));
  },
  leave: () => member.disconnect(),

  committed: ({ group, topic, partitions }) => admin(async (client) => {
    const [{ partitions: found }] = await client.fetchOffsets({ groupId: group, topics: [topic] });
    const offsets = Array.from({ length: partitions }, (_, p) => found.find((f) => f.partition === p));
    return { ok: offsets.map((f) => (f && Number(f.offset) >= 0 ? Number(f.offset) : null)) };
  }),
  groups: () => admin(async (client) => ({ ok: (await client.listGroups()).groups.map((g) => g.groupId) })),
  delete_group: ({ group }) => admin((client) => client.deleteGroups([group])),
  settings: ({ topic }) => admin(async (client) => {
    const { resources } = await client.describeConfigs({ includeSynonyms: false,
      resources: [{ type: ConfigResourceTypes.TOPIC, name: topic }] });
    return { ok: Object.fromEntries(resources[0].configEntries.map((e) => [e.configName, e.configValue])) };
  }),
  alter: ({ topic, name, value }) => admin((client) => client.alterConfigs({ validateOnly: false,
    resources: [{ type: ConfigResourceTypes.TOPIC, name: topic, configEntries: [{ name, value }] }] })),
  delete_records: ({ topic, partition, offset }) => admin(async (client) => {
    await client.fetchTopicOffsets(topic); // else it does not know the topic's leaders
    await client.deleteTopicRecords({ topic, partitions: [{ partition, offset: String(offset) }] });
    return { ok: offset };
  }),
  bounds: ({ topic, partition }) => admin(async (client) => {
    const found = (await client.fetchTopicOffsets(topic)).find((f) => f.partition === partition);
    return { ok: [Number(found.low), Number(found.high)] };
  }),
};

const CALLS = Object.keys(adapter).filter((name) => !["next", "read_up_to"].includes(name));
(async () => {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const { call, args } = JSON.parse(line);
    let answer;
    try {
      answer = CALLS.includes(call) ? await adapter[call](args) : { missing: call };
      // Some calls answer, others just succeed with whatever the client returns.
      if (!answer || !("ok" in Object(answer) || "missing" in Object(answer))) answer = { ok: null };
    } catch (error) {
      answer = { error: `${error.name}: ${error.message}` };
    }
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  }
  process.exit(0);
})();
