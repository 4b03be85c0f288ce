/**
 * A phone with WeChat on it: the `wx` of a mini program, over real HTTP, as strict as the real one where it matters.
 *
 * Its outside world is the stand-ins of the server it is told of: `wx.login` gets its code there, `wx.requestPayment`
 * has the payment checked and made there.
 */
'use strict'

const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')

/** Kilobits a second that WeChat allows with a sampling rate of 16 kHz. */
const BIT_RATES_AT_16K = [24000, 96000]

function makePhone({ server, person, appId, recording }) {
  const storage = new Map()
  /** What happened, for the tests: requests as "METHOD /path status", sign-ins, what was recorded with. */
  const seen = { requests: [], logins: 0, recordedWith: null, headers: [] }
  /** What a test may change. */
  const mood = { language: 'zh_CN', payment: 'pays', offline: false, loginFails: false }

  const wx = {
    getStorageSync: (key) => (storage.has(key) ? storage.get(key) : ''),
    setStorageSync: (key, value) => void storage.set(key, value),
    removeStorageSync: (key) => void storage.delete(key),
    getAppBaseInfo: () => ({ language: mood.language }),

    login({ success, fail }) {
      seen.logins += 1
      if (mood.loginFails) return later(fail, { errMsg: 'login:fail' })
      return post('/sandbox/wechat/code', { person, appId })
        .then((answer) => answer.json())
        .then((answer) => success({ errMsg: 'login:ok', code: answer.code }))
        .catch(() => fail({ errMsg: 'login:fail' }))
    },

    request({ url, method = 'GET', data, header = {}, timeout = 60000, success, fail }) {
      checkHeader(header)
      const body = method === 'GET' || data === undefined ? undefined : JSON.stringify(data)
      return exchange('request', { url, method, header, body, timeout }, success, fail, (text, answer) => {
        const json = (answer.headers.get('content-type') || '').includes('json')
        return json ? tryJson(text) : text
      })
    },

    uploadFile({ url, filePath, name, formData = {}, header = {}, timeout = 60000, success, fail }) {
      checkHeader(header)
      const form = new FormData()
      for (const key of Object.keys(formData)) form.append(key, formData[key])
      let bytes
      try {
        bytes = fs.readFileSync(filePath)
      } catch (error) {
        return later(fail, { errMsg: 'uploadFile:fail file not found' })
      }
      // WeChat names the file as it lies on the phone, and says no more of its type than that suggests.
      form.append(name, new Blob([bytes]), path.basename(filePath))
      const asked = { url, method: 'POST', header, body: form, timeout }
      return exchange('uploadFile', asked, success, fail, (text) => text)
    },

    downloadFile({ url, header = {}, timeout = 60000, success, fail }) {
      checkHeader(header)
      return fetch(url, { headers: header, signal: AbortSignal.timeout(timeout) })
        .then(async (answer) => {
          const tempFilePath = path.join(os.tmpdir(), `wx-${process.pid}-${Date.now()}`)
          fs.writeFileSync(tempFilePath, Buffer.from(await answer.arrayBuffer()))
          seen.requests.push(`GET ${new URL(url).pathname} ${answer.status}`)
          success({ errMsg: 'downloadFile:ok', statusCode: answer.status, tempFilePath })
        })
        .catch(() => fail({ errMsg: 'downloadFile:fail' }))
    },

    requestPayment(given) {
      const { success, fail } = given
      const names = ['timeStamp', 'nonceStr', 'package', 'signType', 'paySign']
      const wrong = names.filter((name) => typeof given[name] !== 'string' || !given[name])
      if (wrong.length) return later(fail, { errMsg: `requestPayment:fail parameter error: ${wrong}` })
      if (mood.payment === 'cancels') return later(fail, { errMsg: 'requestPayment:fail cancel' })
      const five = Object.fromEntries(names.map((name) => [name, given[name]]))
      return post('/sandbox/wechat/jsapi', { appId, ...five })
        .then((answer) => answer.json())
        .then((answer) => {
          if (!/:ok$/.test(answer.errMsg)) return fail({ errMsg: answer.errMsg })
          // Pays, and closes the window before WeChat has told the mini program.
          if (mood.payment === 'pays and closes') return fail({ errMsg: 'requestPayment:fail cancel' })
          return success({ errMsg: 'requestPayment:ok' })
        })
        .catch(() => fail({ errMsg: 'requestPayment:fail' }))
    },

    getRecorderManager() {
      const heard = {}
      return {
        onStop: (listener) => void (heard.stop = listener),
        onError: (listener) => void (heard.error = listener),
        start(options) {
          const [least, most] = BIT_RATES_AT_16K
          const fine =
            options.duration <= 600000 &&
            options.sampleRate === 16000 &&
            options.encodeBitRate >= least &&
            options.encodeBitRate <= most &&
            [1, 2].includes(options.numberOfChannels) &&
            ['aac', 'mp3', 'PCM', 'wav'].includes(options.format)
          seen.recordedWith = { ...options }
          if (!fine) later(heard.error, { errMsg: 'operateRecorder:fail parameter error' })
        },
        stop() {
          later(heard.stop, { tempFilePath: recording, duration: 1000, fileSize: fs.statSync(recording).size })
        },
      }
    },
  }

  function post(where, data) {
    const body = JSON.stringify(data)
    return fetch(server + where, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body })
  }

  /** One call over the network, answered as WeChat answers. */
  function exchange(what, { url, method, header, body, timeout }, success, fail, read) {
    if (mood.offline) return later(fail, { errMsg: `${what}:fail net::ERR_INTERNET_DISCONNECTED` })
    seen.headers.push(header)
    return fetch(url, { method, headers: header, body, signal: AbortSignal.timeout(timeout) })
      .then((answer) => answer.text().then((text) => ({ answer, text })))
      .then(
        ({ answer, text }) => {
          seen.requests.push(`${method} ${new URL(url).pathname} ${answer.status}`)
          const found = Object.fromEntries(answer.headers)
          success({ statusCode: answer.status, header: found, data: read(text, answer), errMsg: `${what}:ok` })
        },
        (error) => fail({ errMsg: `${what}:fail ${error.name === 'TimeoutError' ? 'timeout' : 'net::ERR_FAILED'}` })
      )
  }

  return { wx, seen, mood, storage }
}

/** The real one refuses to set it. */
function checkHeader(header) {
  if (Object.keys(header).some((name) => name.toLowerCase() === 'referer')) throw new Error('Referer cannot be set')
}

function later(listener, value) {
  setTimeout(() => listener(value), 0)
}

function tryJson(text) {
  try {
    return JSON.parse(text)
  } catch (error) {
    return text
  }
}

module.exports = { makePhone }
