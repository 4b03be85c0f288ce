/**
 * VoiceHelper's client for WeChat mini programs: one file, no dependencies, every call a Promise.
 *
 *     const api = require('../../utils/api.js')
 *     api.configure({ baseUrl: 'https://voice.example.com' })
 *     api.sendMessage('你好').then((answer) => console.log(answer.content))
 *
 * Nothing has to be signed in first: a call without a token, or with one that has expired, signs in by `wx.login` and
 * goes on. What fails is an ApiError, whose `message` is in the user's language and fit to be shown.
 */
'use strict'

const TOKEN_KEY = 'voicehelper.token'
const SHARE_KEY = 'voicehelper.shareId'
const LEAVING_KEY = 'voicehelper.leaving'

/** What the microphone is asked for: a minute at the most, small, and what speech recognition wants. */
const RECORDER_OPTIONS = Object.freeze({
  duration: 60000,
  sampleRate: 16000,
  numberOfChannels: 1,
  encodeBitRate: 48000,
  format: 'mp3',
})

const config = {
  baseUrl: '',
  /** Milliseconds until a call is given up; the second and third for what takes its time. */
  timeout: 15000,
  answerTimeout: 120000,
  uploadTimeout: 120000,
  /** How often, and for how long, an order is asked about after the buyer has paid. Milliseconds. */
  payPollEvery: 2000,
  payPollFor: 60000,
  /** 'zh-CN' or 'en'; empty: WeChat's own. The server's words come in it too. */
  language: '',
}

const WORDS = {
  zh: {
    network: '网络连接失败，请检查网络后重试',
    timeout: '请求超时，请稍后重试',
    nonsense: '服务器返回异常，请稍后重试',
    login: '微信登录失败，请重试',
    cancelled: '已取消支付',
    payment: '支付失败，请重试',
    pending: '尚未确认到账，请稍后在充值记录中查看',
    closed: '订单已关闭，请重新下单',
    recorder: '录音失败，请检查麦克风权限',
    leaving: '账号即将注销，重新登录即可保留',
    unconfigured: '尚未配置服务器地址',
  },
  en: {
    network: 'No connection: check the network and try again',
    timeout: 'No answer in time: try again in a moment',
    nonsense: 'The server answered oddly: try again in a moment',
    login: 'Signing in by WeChat failed: try again',
    cancelled: 'The payment was cancelled',
    payment: 'The payment failed: try again',
    pending: 'The payment is not confirmed yet: look at your orders in a moment',
    closed: 'The order is closed: place another one',
    recorder: 'Recording failed: is the microphone allowed?',
    leaving: 'The account is about to be deleted: sign in to keep it',
    unconfigured: 'The address of the server is not configured',
  },
}

/**
 * Why a call failed.
 *
 * `code`: 'http' (the server refused; see `status`), 'network', 'timeout', 'nonsense', 'login', 'cancelled', 'payment',
 * 'pending', 'closed', 'recorder', 'leaving' (see deleteAccount), 'unconfigured'. `status` is HTTP's, 0 without an answer. `retryAfter` is in seconds,
 * 0 when the server did not say. `data` is the server's answer, or the order that is meant.
 */
class ApiError extends Error {
  constructor(code, message, facts) {
    super(message || words()[code])
    this.name = 'ApiError'
    this.code = code
    this.status = 0
    this.retryAfter = 0
    this.data = null
    Object.assign(this, facts)
  }
}

/**
 * Say where the server is, and change what you do not like.
 * @param {Partial<typeof config>} options see `config` above
 */
function configure(options) {
  Object.assign(config, options)
  config.baseUrl = config.baseUrl.replace(/\/+$/, '')
}

function language() {
  if (config.language) return config.language
  const info = wx.getAppBaseInfo ? wx.getAppBaseInfo() : wx.getSystemInfoSync()
  return info.language === 'en' ? 'en' : 'zh-CN'
}

function words() {
  return language() === 'en' ? WORDS.en : WORDS.zh
}

// --- Requests --------------------------------------------------------------------------------------------------------

/**
 * Call the server as whoever is signed in; signs in when there is no token, and once more when it has expired.
 * @param {string} path begins with a slash
 * @param {{method?: string, data?: object, header?: object, timeout?: number}} [options]
 * @returns {Promise<any>} the answer's JSON; rejects with an ApiError
 */
function request(path, options) {
  return signedIn((token) => send(path, options, token))
}

/** `wx.request` as a Promise of the answer's JSON. */
function send(path, options, token) {
  const asked = Object.assign({ method: 'GET', data: undefined, header: {}, timeout: config.timeout }, options)
  return called((handlers) =>
    wx.request({
      url: config.baseUrl + path,
      method: asked.method,
      data: asked.data,
      header: Object.assign(headers(token), { 'Content-Type': 'application/json' }, asked.header),
      timeout: asked.timeout,
      ...handlers,
    })
  )
}

function headers(token) {
  const found = { 'Accept-Language': language() }
  if (token) found.Authorization = `Bearer ${token}`
  return found
}

/** Run one of WeChat's network calls; its answer's JSON, or an ApiError. */
function called(start) {
  if (!config.baseUrl) return Promise.reject(new ApiError('unconfigured'))
  return new Promise((resolve, reject) => {
    start({
      success: (answer) => {
        const data = answer.statusCode === 204 ? {} : parsed(answer.data)
        const fine = answer.statusCode >= 200 && answer.statusCode < 300
        if (fine && data !== null) resolve(data)
        else reject(fine ? new ApiError('nonsense') : refusal(answer, data))
      },
      fail: (error) => {
        const late = /time ?d? ?out/i.test(String(error && error.errMsg))
        reject(new ApiError(late ? 'timeout' : 'network'))
      },
    })
  })
}

/** An answer's object: `wx.request` has parsed it already, `wx.uploadFile` has not. */
function parsed(data) {
  if (typeof data !== 'string') return data !== null && typeof data === 'object' ? data : null
  try {
    return parsed(JSON.parse(data) || null)
  } catch (error) {
    return null
  }
}

/** What a refusal says: the routes of payment put their words into `data`, all others into `message`. */
function refusal(answer, data) {
  const said = data || {}
  const text = typeof said.data === 'string' && said.message === 'error' ? said.data : said.message
  const known = typeof text === 'string' && text ? text : words().nonsense
  const retryAfter = Number(header(answer, 'retry-after')) || 0
  return new ApiError('http', known, { status: answer.statusCode, data, retryAfter })
}

/** Devices do not agree on the case of a header's name. */
function header(answer, name) {
  const all = answer.header || {}
  const found = Object.keys(all).find((key) => key.toLowerCase() === name)
  return found ? all[found] : ''
}

// --- Signing in ------------------------------------------------------------------------------------------------------

/** While somebody signs in, all who need it wait for the same. */
let signingIn = null

/** Do something with a token; once more with a new one when the server says 401, and then no more. */
function signedIn(act) {
  const token = wx.getStorageSync(TOKEN_KEY)
  // Signing in would keep the account: that is for its user to decide.
  if (!token && wx.getStorageSync(LEAVING_KEY)) return Promise.reject(new ApiError('leaving'))
  if (!token) return wxLogin().then((found) => act(found.token))
  return act(token).catch((error) => {
    if (error.status !== 401) throw error
    // Another call may have signed in meanwhile.
    const newer = wx.getStorageSync(TOKEN_KEY)
    return newer && newer !== token ? act(newer) : wxLogin().then((found) => act(found.token))
  })
}

/**
 * Sign in by `wx.login`; calls at the same time share one. Other calls do it by themselves when it is needed.
 * @returns {Promise<{token: string, userInfo: object}>}
 */
function wxLogin() {
  if (!signingIn) {
    const done = () => {
      signingIn = null
    }
    signingIn = newToken()
    signingIn.then(done, done)
  }
  return signingIn
}

function newToken() {
  return loginCode()
    .then((code) => {
      const shareId = wx.getStorageSync(SHARE_KEY)
      const data = shareId ? { code, shareId } : { code }
      return send('/api/auth/wx-login', { method: 'POST', data })
    })
    .then((answer) => {
      if (!answer.token) throw new ApiError('nonsense')
      wx.setStorageSync(TOKEN_KEY, answer.token)
      wx.removeStorageSync(SHARE_KEY)
      wx.removeStorageSync(LEAVING_KEY)
      return answer
    })
}

function loginCode() {
  return new Promise((resolve, reject) => {
    const fail = () => reject(new ApiError('login'))
    wx.login({
      timeout: config.timeout,
      success: (answer) => (answer.code ? resolve(answer.code) : fail()),
      fail,
    })
  })
}

/** Forget the token on this phone. */
function signOut() {
  wx.removeStorageSync(TOKEN_KEY)
}

/**
 * Who is signed in, and the balance.
 * @returns {Promise<{id: number, username: string, group: string, quota: number, held_quota: number, used_quota: number}>}
 */
function profile() {
  return request('/api/user/self').then((answer) => answer.data)
}

// --- Chat ------------------------------------------------------------------------------------------------------------

/**
 * Ask the assistant.
 * @param {string} content the question
 * @param {{sessionId?: string, model?: string}} [options] `sessionId` of an earlier answer goes on with that talk
 * @returns {Promise<{sessionId: string, messageId: string, content: string, model: string, usage: object, quota: number}>}
 */
function sendMessage(content, options) {
  const data = Object.assign({ content, contentType: 'text' }, options)
  const header = { 'Idempotency-Key': newKey() }
  return request('/api/chat/message', { method: 'POST', data, header, timeout: config.answerTimeout })
}

// --- Files and voice -------------------------------------------------------------------------------------------------

/**
 * Upload a file of this phone, like one of `wx.chooseMedia` or of the recorder.
 * @param {string} filePath
 * @param {string} [fileName] what it is to be called; without it, what it is called here
 * @returns {Promise<{path: string, url: string, name: string, size: number, contentType: string}>}
 */
function upload(filePath, fileName) {
  const name = fileName || filePath.split('/').pop()
  return signedIn((token) =>
    called((handlers) =>
      wx.uploadFile({
        url: `${config.baseUrl}/api/files/upload`,
        filePath,
        name: 'file',
        formData: { fileName: name },
        header: headers(token),
        timeout: config.uploadTimeout,
        ...handlers,
      })
    )
  )
}

/**
 * Record with RECORDER_OPTIONS, until `stop()` or the minute is over.
 * @returns {{stop: () => void, done: Promise<{tempFilePath: string, duration: number, fileSize: number}>}}
 */
function record() {
  const recorder = wx.getRecorderManager()
  const done = new Promise((resolve, reject) => {
    recorder.onStop(resolve)
    recorder.onError(() => reject(new ApiError('recorder')))
  })
  recorder.start(RECORDER_OPTIONS)
  return { stop: () => recorder.stop(), done }
}

/**
 * What was said in a recording that was uploaded.
 * @param {string} audioPath the `path` that `upload` gave
 * @returns {Promise<{text: string, duration: number, model: string, quota: number}>} `duration` in seconds
 */
function transcribe(audioPath) {
  const timeout = config.answerTimeout
  return request('/api/voice/transcribe', { method: 'POST', data: { audioPath }, timeout })
}

// --- Payment ---------------------------------------------------------------------------------------------------------

/** States of an order whose money has come. */
const PAID = ['paid', 'partly_refunded', 'refunded']
const OVER = ['closed', 'failed']

/**
 * Recharge by WeChat Pay, and wait until the server has credited it: what the phone says is no proof.
 * @param {number} amount a whole number of units
 * @returns {Promise<object>} the order, `status` 'paid'. Rejects with code 'cancelled', 'payment', 'closed', or 'pending'
 *   when the payment is not confirmed in time: it may still be, and `data` is the order as it was seen last.
 */
function pay(amount) {
  const data = { amount, payment_method: 'wechat', trade_type: 'JSAPI' }
  // A repeat after a lost answer or an expired token is the same order.
  const header = { 'Idempotency-Key': newKey() }
  return request('/api/user/wechat/pay', { method: 'POST', data, header }).then((answer) => {
    const placed = answer.data
    return requestPayment(placed.payment).then(
      () => paidOrder(placed.order_id, Date.now() + config.payPollFor),
      (error) => evenSoPaid(placed.order_id, error)
    )
  })
}

/** `wx.requestPayment` as a Promise. */
function requestPayment(payment) {
  return new Promise((resolve, reject) => {
    const fail = (error) => reject(new ApiError(/cancel/.test(String(error && error.errMsg)) ? 'cancelled' : 'payment'))
    wx.requestPayment(Object.assign({}, payment, { success: resolve, fail }))
  })
}

/** Somebody who pays and then closes the window is told "cancelled" by the phone: look twice before believing it. */
function evenSoPaid(orderId, error) {
  return paidOrder(orderId, Date.now() + config.payPollEvery * 1.5).catch((last) => {
    throw Object.assign(error, { data: last.data })
  })
}

/** Ask until the order is paid. A failed question is no answer: it is asked again. */
function paidOrder(orderId, until) {
  return order(orderId)
    .catch((error) => {
      if (error.status && error.status < 500 && error.status !== 429) throw error
      return { order_id: orderId, status: 'pending' }
    })
    .then((found) => {
      if (PAID.includes(found.status)) return found
      if (OVER.includes(found.status)) throw new ApiError('closed', '', { data: found })
      if (Date.now() + config.payPollEvery > until) throw new ApiError('pending', '', { data: found })
      return sleep(config.payPollEvery).then(() => paidOrder(orderId, until))
    })
}

/**
 * One of one's own orders.
 * @param {string} orderId
 * @returns {Promise<{order_id: string, status: string, amount: number, money: string, quota: number}>}
 */
function order(orderId) {
  return request(`/api/user/topup/orders/${encodeURIComponent(orderId)}`).then((answer) => answer.data)
}

// --- Sharing ---------------------------------------------------------------------------------------------------------

/**
 * A card for `onShareAppMessage`, which waits for it: `return { title: '…', promise: api.share() }`.
 * @returns {Promise<{title: string, path: string, imageUrl: string, shareId: string}>}
 */
function share() {
  return request('/api/share', { method: 'POST' })
}

/**
 * The texts (user agreement, privacy policy) that the user has not agreed to yet; often none. Show their titles with a
 * tick, open each `url` in a web view, and call `agree` with what was shown.
 * @returns {Promise<Array<{kind: string, title: string, version: number, url: string}>>}
 */
function wantedTexts() {
  return request('/api/user/consent').then((answer) => answer.data)
}

/**
 * The user has ticked that he agrees to these texts.
 * @param {Array<{kind: string, version: number}>} texts what `wantedTexts` gave
 * @returns {Promise<Array>} what is still wanted: none
 */
function agree(texts) {
  const data = {}
  texts.forEach((text) => {
    data[text.kind] = text.version
  })
  return request('/api/user/consent', { method: 'POST', data }).then((answer) => answer.data)
}

/**
 * Tell the server that somebody came by a shared card, and remember whose: call it in `onLaunch` and `onShow` with their
 * options. A first sign-in after it counts for the sharer. Never fails: nobody should be stopped by it.
 * @param {{query?: {shareId?: string}}} options
 * @returns {Promise<boolean>} whether the visit was recorded
 */
function visited(options) {
  const shareId = options && options.query && options.query.shareId
  if (!shareId) return Promise.resolve(false)
  const token = wx.getStorageSync(TOKEN_KEY)
  if (!token) wx.setStorageSync(SHARE_KEY, shareId)
  const tell = (known) => send('/api/share/visit', { method: 'POST', data: { shareId } }, known)
  // A token that has expired makes a stranger of somebody, no more.
  return tell(token)
    .catch((error) => {
      if (token && error.status === 401) return tell('')
      throw error
    })
    .then(() => true, () => false)
}

// --- One's data ------------------------------------------------------------------------------------------------------

/** What shows that it is really they: the password of whoever has one, else a new code of `wx.login`. */
function withProof(password, act) {
  if (password) return act({ password })
  return loginCode().then((code) => act({ code }))
}

/**
 * The last copy of all that is kept of the user, or null. It can be fetched while `state` is 'ready'.
 * @returns {Promise<?{state: string, askedAt: string, done: number, total: number, size: number, expiresAt: ?string}>}
 */
function exported() {
  return request('/api/user/export').then((answer) => answer.data)
}

/**
 * Have a copy made; ask `exported` how far it is.
 * @param {string} [password] of a user who has one
 * @returns {Promise<object>} as of `exported`
 */
function exportData(password) {
  return withProof(password, (data) => request('/api/user/export', { method: 'POST', data })).then(
    (answer) => answer.data
  )
}

/**
 * Fetch the copy, a ZIP, into a file of this phone; then `wx.shareFileMessage` or `wx.saveFile` takes it on.
 * @param {string} [password] of a user who has one
 * @returns {Promise<string>} where it lies: a temporary path
 */
function fetchExport(password) {
  return withProof(password, (data) => request('/api/user/export/link', { method: 'POST', data })).then((answer) =>
    downloaded(answer.data.url)
  )
}

function downloaded(url) {
  return new Promise((resolve, reject) => {
    wx.downloadFile({
      url,
      timeout: config.uploadTimeout,
      success: (answer) =>
        answer.statusCode === 200 ? resolve(answer.tempFilePath) : reject(refusal(answer, null)),
      fail: () => reject(new ApiError('network')),
    })
  })
}

/**
 * What keeps the account (`obstacles`, sentences; often none), and the quota that would be lost.
 * @returns {Promise<{due: ?string, obstacles: string[], quota: number, days: number}>}
 */
function deletion() {
  return request('/api/user/deletion').then((answer) => answer.data)
}

/**
 * Delete the account at `due`. From now on nothing signs in by itself, for that would keep the account: calls fail with
 * the code 'leaving' until you call `wxLogin`, which you do when the user says so.
 * @param {{password?: string, givesUpBalance?: boolean}} [options] `givesUpBalance`: the user was told of the quota
 * @returns {Promise<{due: string}>}
 */
function deleteAccount(options) {
  const { password, givesUpBalance } = options || {}
  return withProof(password, (proof) => {
    const data = Object.assign({ givesUpBalance: Boolean(givesUpBalance) }, proof)
    return request('/api/user/deletion', { method: 'POST', data })
  }).then((answer) => {
    wx.setStorageSync(LEAVING_KEY, answer.data.due)
    signOut()
    return answer.data
  })
}

// --- Small things ----------------------------------------------------------------------------------------------------

function sleep(ms) {
  return new Promise((resolve) => {
    setTimeout(resolve, ms)
  })
}

/** A key that makes a repeat of a request the same request. */
function newKey() {
  const digits = () => Math.random().toString(36).slice(2, 12)
  return `mp-${Date.now().toString(36)}-${digits()}${digits()}`
}

module.exports = {
  ApiError,
  RECORDER_OPTIONS,
  configure,
  request,
  wxLogin,
  signOut,
  profile,
  sendMessage,
  upload,
  record,
  transcribe,
  pay,
  order,
  share,
  visited,
  wantedTexts,
  agree,
  exported,
  exportData,
  fetchExport,
  deletion,
  deleteAccount,
}
