/**
 * Runs the client on a phone, as a test says: a line of JSON in, a line of JSON out.
 *
 * In: {"calls": [["pay", 10], …], "mood": {…}, "config": {…}, "forget": true}. All calls are made at once.
 * Out: {"results": [{"value": …} or {"error": {…}}, …], "seen": …}.
 */
'use strict'

const path = require('node:path')
const readline = require('node:readline')

const { makePhone } = require('./wx.js')

const api = require(path.join(__dirname, '../../miniprogram/utils/api.js'))
const facts = JSON.parse(process.argv[2])
const phone = makePhone(facts)
globalThis.wx = phone.wx
api.configure({ baseUrl: `${facts.server}/`, payPollEvery: 50 })

function call([name, ...given]) {
  if (name === 'recorderOptions') return Promise.resolve(api.RECORDER_OPTIONS)
  if (name === 'record') {
    const recording = api.record()
    recording.stop()
    return recording.done
  }
  return api[name](...given)
}

function told(result) {
  if (result.status === 'fulfilled') return { value: result.value === undefined ? null : result.value }
  const { name, code, message, status, retryAfter, data } = result.reason
  return { error: { name, code, message, status, retryAfter, data } }
}

async function answer(line) {
  const asked = JSON.parse(line)
  if (asked.forget) phone.storage.clear()
  for (const [key, value] of Object.entries(asked.storage || {})) phone.storage.set(key, value)
  Object.assign(phone.mood, asked.mood)
  api.configure(asked.config || {})
  const results = await Promise.allSettled((asked.calls || []).map(call))
  const storage = Object.fromEntries(phone.storage)
  process.stdout.write(`${JSON.stringify({ results: results.map(told), seen: phone.seen, storage })}\n`)
  Object.assign(phone.seen, { requests: [], logins: 0, recordedWith: null, headers: [] })
}

let before = Promise.resolve()
readline.createInterface({ input: process.stdin }).on('line', (line) => {
  before = before.then(() => answer(line))
})
