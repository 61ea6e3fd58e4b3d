// Has kafkajs send one of everything that it can: BOOTSTRAP=HOST:PORT NODE_PATH=.../node_modules node kafkajs.js
const { Kafka, logLevel, Partitioners, ConfigResourceTypes } = require('kafkajs')

const kafka = new Kafka({ brokers: [process.env.BOOTSTRAP], clientId: 'golden', logLevel: logLevel.NOTHING, retry: { retries: 3 } })
const [topic, groupId] = ['golden', 'golden-group']
const sleep = ms => new Promise(resolve => setTimeout(resolve, ms))
const failed = []

// A broker may lack something: the request was sent all the same.
async function step (what, run) {
  try {
    await run()
  } catch (error) {
    failed.push(`${what}: ${error.name}: ${error.message}`)
  }
}

async function consume () {
  const consumer = kafka.consumer({ groupId, heartbeatInterval: 200, sessionTimeout: 6000 })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  let got = 0
  await consumer.run({ autoCommit: true, autoCommitThreshold: 1, eachMessage: async () => { got++ } })
  for (const end = Date.now() + 20000; got < 3 && Date.now() < end;) await sleep(100)
  await sleep(1000)
  await consumer.disconnect()
  if (got < 3) throw new Error(`read ${got}`)
}

async function main () {
  const admin = kafka.admin()
  await admin.connect()
  await admin.createTopics({ topics: [{ topic, numPartitions: 1, replicationFactor: 1, configEntries: [{ name: 'max.message.bytes', value: '1048588' }] }] })
  await sleep(500)
  const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner, idempotent: true, maxInFlightRequests: 1 })
  await producer.connect()
  const messages = [0, 1, 2].map(i => ({ key: `key-${i}`, value: `value-${i}`, headers: { h: 'x' }, partition: 0, timestamp: String(1700000000000 + i) }))
  await producer.send({ topic, messages, acks: -1 })
  await producer.disconnect()

  const resources = [{ type: ConfigResourceTypes.TOPIC, name: topic, configEntries: [{ name: 'max.message.bytes', value: '2097152' }] }]
  await step('group', consume)
  await step('offsets', () => admin.fetchTopicOffsets(topic))
  await step('offsets by time', () => admin.fetchTopicOffsetsByTimestamp(topic, 1700000000001))
  await step('metadata', () => admin.fetchTopicMetadata({ topics: [topic] }))
  await step('group offsets', () => admin.fetchOffsets({ groupId, topics: [topic] }))
  await step('reset offsets', () => admin.setOffsets({ groupId, topic, partitions: [{ partition: 0, offset: '1' }] }))
  await step('describe configs', () => admin.describeConfigs({ resources: [{ type: ConfigResourceTypes.TOPIC, name: topic }] }))
  await step('alter configs', () => admin.alterConfigs({ resources }))
  await step('create partitions', () => admin.createPartitions({ topicPartitions: [{ topic, count: 2 }] }))
  await step('delete records', () => admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '1' }] }))
  await step('describe cluster', () => admin.describeCluster())
  await step('list groups', () => admin.listGroups())
  await step('describe groups', () => admin.describeGroups([groupId]))
  await step('delete groups', () => admin.deleteGroups([groupId]))
  await step('delete topics', () => admin.deleteTopics({ topics: [topic] }))
  await admin.disconnect()
  failed.forEach(line => console.error(line))
}

main().catch(error => {
  console.error(error)
  process.exit(1)
})
